"""What anomaly detection looks at: pixels, what enters a model's last layer, or its log-probabilities.

Any function of images (n, h, w, c) to finite numbers (n, d) will do. A detector is fitted to the features of one
model, and knows nothing of that model's later versions.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.batching import in_batches, predict_in_batches
from overunlearn_jax.models import Model
from overunlearn_jax.types import Array, Images, PredictFn, Variables
from overunlearn_jax.unlearn.partition import parameter_paths

Features = Callable[[Images], np.ndarray]  # (n, h, w, c) to shape=(n, d), dtype=float64

BATCH = 128  # images at a time; changes no result
LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)
_PROBES = 8
_TOLERANCE = 1e-3  # of the logits' spread, by which the last layer may miss them


def pixel_features(images: Images) -> np.ndarray:
    """Each image as a vector of its pixels.

    Args:
      images: shape=(n, h, w, c).

    Returns:
      shape=(n, h * w * c), dtype=float64.
    """
    array = np.asarray(images, np.float64)
    return array.reshape(len(array), -1)


def log_probability_features(predict: PredictFn) -> Features:
    """log p of every class, for models that show nothing else: k numbers an image, not below -87.4."""
    return lambda images: np.log(np.maximum(predict_in_batches(predict, images, BATCH), LEAST_PROBABILITY)).astype(
        np.float64
    )


def last_layer_features(model: Model, variables: Variables, image_shape: tuple[int, int, int]) -> Features:
    """What enters the last layer of a model whose logits are h @ kernel + bias: h, of any framework's JAX model.

    h is the derivative of the first logit by the kernel's weights to it, so no layer has to be named or opened: among
    the matrices in `params` that could be the kernel, the one is taken by which h @ kernel + bias gives the logits of
    a few random images.

    Args:
      model: any `Model`.
      variables: its weights; the features stay those of these weights.
      image_shape: (h, w, c).

    Raises:
      ValueError: no matrix of `params` is such a kernel: take `log_probability_features`.
    """
    probes = np.random.default_rng(0).uniform(-0.5, 0.5, (_PROBES, *image_shape)).astype(np.float32)
    logits = np.asarray(_logits(model.apply, variables, probes), np.float64)
    leaves = jax.tree.leaves(variables.params)
    candidates = [
        (leaf, axis)
        for leaf, array in enumerate(leaves)
        if np.ndim(array) == 2
        for axis in (1, 0)
        if np.shape(array)[axis] == logits.shape[1]
    ]
    for leaf, axis in candidates:
        inputs = np.asarray(_inputs(model.apply, variables, probes, leaf, axis), np.float64)
        rest = logits - inputs @ np.moveaxis(np.asarray(leaves[leaf], np.float64), axis, 1)
        spread = np.abs(logits - logits[0]).max()
        if spread > 0 and np.abs(rest - rest[0]).max() <= _TOLERANCE * spread:
            return partial(_all_inputs, partial(_inputs, model.apply, variables, leaf=leaf, axis=axis))
    paths = parameter_paths(variables.params)
    tried = ", ".join(dict.fromkeys(paths[leaf] for leaf, _ in candidates)) or "no matrix for that many classes"
    raise ValueError(
        f"the logits are no last layer's h @ kernel + bias; tried {tried}: take log_probability_features, or any "
        "function of images to features (n, d)"
    )


def _all_inputs(ask: Callable[[np.ndarray], Array], images: Images) -> np.ndarray:
    return in_batches(lambda batch: np.asarray(ask(batch)), np.asarray(images), BATCH).astype(np.float64)


@partial(jax.jit, static_argnames="apply")
def _logits(apply: Any, variables: Variables, images: Images) -> Array:
    with jax.default_matmul_precision("highest"):
        return apply(variables, images, None)[0]


@partial(jax.jit, static_argnames=("apply", "leaf", "axis"))
def _inputs(apply: Any, variables: Variables, images: Array, leaf: int, axis: int) -> Array:
    """What is multiplied by leaf number `leaf` of the parameters, whose logits lie along `axis`; shape=(n, d)."""
    leaves, structure = jax.tree.flatten(variables.params)
    kernel = jnp.moveaxis(leaves[leaf], axis, 0)

    def first_logit(change: Array, image: Array) -> Array:
        moved = [*leaves[:leaf], jnp.moveaxis(kernel.at[0].add(change), 0, axis), *leaves[leaf + 1 :]]
        changed = variables._replace(params=jax.tree.unflatten(structure, moved))
        return apply(changed, image[None], None)[0][0, 0]

    with jax.default_matmul_precision("highest"):
        return jax.vmap(jax.grad(first_logit), in_axes=(None, 0))(jnp.zeros_like(kernel[0]), images)
