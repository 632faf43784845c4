"""What a model is to the rest of the package: two pure functions and nothing else.

Flax and Equinox are imported in this folder only: `linen_model`, `nnx_model` and `equinox_model` wrap their modules. A
model of the user's own needs neither: `pure_model` wraps any pair of init / apply functions, Haiku's or hand-written.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from overunlearn_jax.types import Array, Images, Key, Params, PredictFn, PyTree, Variables


class Model(NamedTuple):
    """A classifier as pure functions.

    `init(key) -> Variables` draws the weights. `apply(variables, images, key) -> (logits, state)` maps images of
    shape (n, h, w, c) to logits of shape (n, k). With `key=None` it predicts: no dropout, stored batch-norm
    statistics, `state` returned unchanged. With a key it is a training pass: dropout on, batch statistics used,
    and the updated `state` returned.
    """

    init: Callable[[Key], Variables]
    apply: Callable[[Variables, Images, Key | None], tuple[Array, PyTree]]


def linen_model(module: nn.Module, image_shape: tuple[int, int, int]) -> Model:
    """Wraps a Flax linen module whose `__call__` takes `(images, train: bool)` and returns logits."""

    def init_fn(key: Key) -> Variables:
        collections = module.init(key, jnp.zeros((1, *image_shape), jnp.float32), train=False)
        return Variables(collections["params"], collections.get("batch_stats", {}))

    def apply_fn(variables: Variables, images: Images, key: Key | None) -> tuple[Array, PyTree]:
        collections = {"params": variables.params, "batch_stats": variables.state}
        apply: Callable[..., Any] = module.apply
        if key is None:
            return apply(collections, images, train=False), variables.state
        logits, updated = apply(collections, images, train=True, rngs={"dropout": key}, mutable=["batch_stats"])
        return logits, updated.get("batch_stats", {})

    return Model(init_fn, apply_fn)


def pure_model(init: Callable[[Key], Params], apply: Callable[[Params, Images], Array]) -> Model:
    """Wraps the user's own `init(key) -> params` and `apply(params, images) -> logits`, both pure.

    The model trains and predicts by the same pass. One that has dropout or batch statistics is written as a `Model`
    directly. What a `Model` is called with is `Variables`, `Variables(params)` of parameters that are there already:

    Examples:
      >>> model = pure_model(lambda key: jnp.zeros((4, 3)), lambda params, images: images.reshape(-1, 4) @ params)
      >>> predict_fn(model, Variables(jnp.eye(4, 3)))(jnp.zeros((2, 2, 2, 1))).shape
      (2, 3)

    Args:
      init: draws the parameters, any pytree of float arrays. A model that is never trained here may ignore the key.
      apply: maps images, shape (n, h, w, c), to logits, shape (n, k), before any softmax.

    Raises:
      ValueError: when the model is called: `init` returns Variables, `apply` something else than logits, or the model
        is given bare parameters.
    """

    def init_fn(key: Key) -> Variables:
        params = init(key)
        if isinstance(params, Variables):
            raise ValueError(
                "init returned Variables; pure_model expects the parameters alone: a model with a state is "
                "Model(init, apply), where apply(variables, images, key) returns (logits, state)"
            )
        return Variables(params, ())

    def apply_fn(variables: Variables, images: Images, key: Key | None) -> tuple[Array, PyTree]:
        del key  # Unused: the same pass serves training and prediction.
        if not isinstance(variables, Variables):
            raise ValueError(
                f"the model was given a {type(variables).__name__}; expected Variables: wrap parameters, "
                "Variables(params)"
            )
        logits = apply(variables.params, images)
        shape = getattr(logits, "shape", None)
        if shape is None or len(shape) != 2 or shape[0] != len(images):
            given = f"a {type(logits).__name__}" if shape is None else f"an array of shape {shape}"
            raise ValueError(
                f"apply(params, images) returned {given} to {len(images)} images; expected logits of shape "
                f"({len(images)}, k), one for each class: one that returns (logits, state) is written as "
                "Model(init, apply)"
            )
        return logits, variables.state

    return Model(init_fn, apply_fn)


def predict_fn(model: Model, variables: Variables) -> PredictFn:
    """Images to probabilities, as a `jax.tree_util.Partial`: a pytree, so one trace serves every victim of this model.

    Answers in full float32 on every device: the shorter products that a GPU or TPU takes by default would drown the
    finite differences of an attack.

    Examples:
      >>> predict = predict_fn(model, variables)                           # doctest: +SKIP
      >>> predict(images).shape                                            # doctest: +SKIP
      (n, k)
    """
    return jax.tree_util.Partial(_probabilities, jax.tree_util.Partial(model.apply), variables)


def _probabilities(apply: Callable[..., tuple[Array, PyTree]], variables: Variables, images: Images) -> Array:
    with jax.default_matmul_precision("highest"):
        return jax.nn.softmax(apply(variables, images, None)[0])
