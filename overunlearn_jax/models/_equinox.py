"""An Equinox module as a model: it takes one image, and is mapped over the batch."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from overunlearn_jax.models._named import check_made, named_leaves, with_leaves
from overunlearn_jax.models.base import Model
from overunlearn_jax.types import Array, Images, Key, PyTree, Variables


def equinox_model(
    module: Any,
    state: Any = None,
    *,
    make: Callable[[Key], Any] | None = None,
    channels_first: bool = True,
    axis_name: str = "batch",
) -> tuple[Model, Variables]:
    """An Equinox module and its weights, for all methods of this package.

    The module is called as Equinox's own layers are, with one image: `module(image)`, and `key=` where it takes one
    (None in predictions); with a state, `module(image, state, key=key)` returns the logits and the new state.
    Predictions are asked in `inference_mode`. Probes of single pixels are sent as whole images: `pixel_edit` knows
    channels-last convolutions only.

    Examples:
      >>> net, state = eqx.nn.make_with_state(Net)(jax.random.key(0))                        # doctest: +SKIP
      >>> model, variables = equinox_model(net, state, make=eqx.nn.make_with_state(Net))     # doctest: +SKIP

    Args:
      module: trained or not; all its floating-point arrays are parameters.
      state: its `eqx.nn.State`, such as batch statistics; None: it has none.
      make: draws a new module from a key, or (module, state) where there is one, of the same architecture. Training
        from scratch needs it: `fit`, and methods that retrain. None: `Model.init` raises ValueError.
      channels_first: whether the module takes images (c, h, w), as `eqx.nn.Conv2d` does, or (h, w, c).
      axis_name: of the batch, for `eqx.nn.BatchNorm`.

    Returns:
      The model, and the module's variables: `params` and `state` are dicts of arrays by their paths, such as
      "layers/0/weight", which scopes of unlearning methods are searched in.

    Raises:
      ImportError: Equinox is not installed.
      ValueError: the module has a state and it is not given, or `make` makes another architecture.
    """
    try:
        import equinox as eqx
    except ImportError as error:
        raise ImportError(f"{error}: pip install equinox, or in the clone pip install -e '.[equinox]'") from error
    if state is None and any(isinstance(leaf, eqx.nn.StateIndex) for leaf in _layers(module, eqx.nn.StateIndex)):
        raise ValueError(
            "the module keeps a state, such as batch statistics, and none is given: equinox_model(module, state) with "
            "both that eqx.nn.make_with_state(Net)(...) returned"
        )
    params, rest = eqx.partition(module, eqx.is_inexact_array)
    takes_key = "key" in inspect.signature(type(module).__call__).parameters

    def init_fn(key: Key) -> Variables:
        if make is None:
            raise ValueError(
                "this model was made of one module, and nothing draws another from a key: give equinox_model(module, "
                "make=lambda key: Net(key=key)) to train from scratch"
            )
        made = make(key)
        drawn, tracked = made if isinstance(made, tuple) else (made, None)
        return Variables(named_leaves(eqx.filter(drawn, eqx.is_inexact_array)), named_leaves(tracked))

    def apply_fn(variables: Variables, images: Images, key: Key | None) -> tuple[Array, PyTree]:
        net = eqx.nn.inference_mode(eqx.combine(with_leaves(params, variables.params), rest), value=key is None)
        images = jnp.asarray(images)
        images = jnp.moveaxis(images, -1, 1) if channels_first else images
        keys = None if key is None else jax.random.split(key, len(images))
        tracked = with_leaves(state, variables.state)

        def one(image: Array, tracked: Any, key: Key | None) -> tuple[Array, Any]:
            own = {"key": key} if takes_key else {}
            return (net(image, **own), None) if tracked is None else net(image, tracked, **own)

        mapped = jax.vmap(one, (0, None, None if key is None else 0), (0, None), axis_name=axis_name)
        logits, updated = mapped(images, tracked, keys)
        return logits, variables.state if key is None else named_leaves(updated)

    variables = Variables(named_leaves(params), named_leaves(state))
    if make is not None:
        check_made(jax.eval_shape(init_fn, jax.random.key(0)), variables)
    return Model(init_fn, apply_fn), variables


def _layers(module: Any, kind: type) -> list[Any]:
    return jax.tree.leaves(module, is_leaf=lambda layer: isinstance(layer, kind))
