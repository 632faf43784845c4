"""A victim's probabilities for one-block edits of an image."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from overunlearn_jax.pixel_edit._walk import walk, whole_value
from overunlearn_jax.pixel_edit.edited import Edited
from overunlearn_jax.types import Array, PredictFn


def answer_probes(predict: PredictFn, image: Array, corners: Array, blocks: Array) -> Array:
    """Probabilities of the image with one block of one channel changed, without a forward pass over the whole image.

    Written for one image; `jax.vmap` it over images. Any victim is answered rightly whose layers give finite numbers;
    where it is no convolutional network over (n, h, w, c), nothing is saved.

    Args:
      predict: images (n, h, w, c) to probabilities (n, k), traceable.
      image: shape (h, w, c), dtype float32.
      corners: shape (p, 3), dtype int32: row, column and channel where each block begins.
      blocks: shape (p, s, b, b): its pixels, s versions of each (+h and -h).

    Returns:
      Probabilities, shape (p, s, k).
    """
    height, width, channels = image.shape
    side = blocks.shape[-1]
    leaves, tree = jax.tree.flatten(predict)
    jaxpr = jax.make_jaxpr(lambda leaves, images: jax.tree.unflatten(tree, leaves)(images))(leaves, image[None])

    def answer(corner: Array, pixels: Array) -> Array:
        row, column, channel = corner
        old = lax.dynamic_slice(image, (row, column, 0), (side, side, channels))
        change = jnp.where(jnp.arange(channels) == channel, pixels[..., None] - old, 0)
        everywhere = (np.arange(height), np.arange(width))
        edited = Edited(image[None], change[None], everywhere, (row, column), clean=True)
        (output,) = walk(jaxpr.jaxpr, jaxpr.consts, [*leaves, edited])
        return whole_value(output)[0]

    # Both versions of a block share their windows of the unchanged image.
    return jax.vmap(jax.vmap(answer, (None, 0)))(corners, blocks)


PROBES = 128  # that the operations are counted of


@functools.lru_cache(maxsize=64)
def _saving(structure: Any, shapes: tuple[Any, ...], image_shape: tuple[int, ...], block: int) -> float:
    predict = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct(*each) for each in shapes])
    images = jax.ShapeDtypeStruct((2 * PROBES, *image_shape), jnp.float32)
    image = jax.ShapeDtypeStruct(image_shape, jnp.float32)
    corners = jax.ShapeDtypeStruct((PROBES, 3), jnp.int32)
    blocks = jax.ShapeDtypeStruct((PROBES, 2, block, block), jnp.float32)
    try:
        plain = jax.jit(lambda predict, images: predict(images)).lower(predict, images)
        edits = jax.jit(answer_probes).lower(predict, image, corners, blocks)
    except Exception:  # whatever a stranger's model does that cannot be traced for one image, or under vmap
        return 0.0
    counts = [(lowered.cost_analysis() or {}).get("flops", 0.0) for lowered in (plain, edits)]
    return float(counts[0] / counts[1]) if counts[1] else 0.0  # 0: nothing to count, or a backend that does not


def saving(predict: PredictFn, image_shape: tuple[int, ...], block: int) -> float:
    """How many times fewer floating-point operations `answer_probes` takes than whole forward passes, by XLA's count.

    0 for a victim that cannot be traced for a single image or under `jax.vmap`.
    """
    leaves, structure = jax.tree.flatten(predict)
    shapes = tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    return _saving(structure, shapes, image_shape, block)
