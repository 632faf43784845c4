"""Long arrays through a jitted function in pieces of one static shape."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.typed_keys import without_keys
from overunlearn_jax.types import Array, Images, PredictFn


@jax.jit
def apply_predict(predict: PredictFn, images: Array) -> Array:
    """Asks a jittable `predict`; a `Partial` of the same function is not compiled again.

    Args:
      predict: jittable, images to probabilities.
      images: shape=(n, h, w, c), dtype=float32.

    Returns:
      Probabilities, shape=(n, k), dtype=float32.
    """
    return predict(images)


def in_batches(call: Callable[[np.ndarray], np.ndarray], images: np.ndarray, batch_size: int) -> np.ndarray:
    """Concatenates `call` over batches of exactly `batch_size` rows; the last is padded with its own first row.

    Args:
      call: (batch_size, ...) to (batch_size, ...).
      images: shape=(n, ...), any dtype, at least one row.
      batch_size: rows in a batch, 1 or more.

    Returns:
      shape=(n, ...), what `call` made of each row.

    Raises:
      ValueError: an empty array or a batch size below 1.
    """
    if len(images) == 0 or batch_size < 1:
        raise ValueError(f"need images and a batch size of at least 1; got {len(images)} and {batch_size}")
    results = []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        missing = batch_size - len(batch)
        padded = np.concatenate([batch, np.repeat(batch[:1], missing, axis=0)]) if missing else batch
        results.append(np.asarray(call(padded))[: len(batch)])
    return np.concatenate(results)


def predict_in_batches(
    predict: PredictFn | Callable[[np.ndarray], Any], images: Images, batch_size: int = 128
) -> np.ndarray:
    """Probabilities of any victim.

    A `jax.tree_util.Partial` is jitted, and traced once per shape. Anything else is called from Python, with copies of
    at most `batch_size` images, and its answers are copied: it may write into what it is given, and use one buffer for
    all answers.

    Args:
      predict: images to probabilities.
      images: shape=(n, h, w, c), dtype=float32, at least one.
      batch_size: images in a call, at most.

    Returns:
      shape=(n, k), as answered.
    """
    images = np.asarray(images)
    if isinstance(predict, jax.tree_util.Partial):
        return in_batches(lambda batch: apply_predict(predict, batch), images, batch_size)
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    return np.concatenate([np.array(predict(batch.copy())) for batch in batches])


def predict_all_in_batches(predicts: Sequence[PredictFn], images: Images, batch_size: int = 128) -> np.ndarray:
    """Probabilities of several victims that differ in their arrays only, or of one of any kind.

    Where they differ in vectors and matrices only, as after unlearning in the head, all are asked in one call, and
    what they share is computed once.

    Args:
      predicts: v victims.
      images: shape=(n, h, w, c), dtype=float32, at least one.
      batch_size: images in a call, at most.

    Returns:
      shape=(v, n, k).

    Raises:
      ValueError: victims of different structure.
    """
    if len(predicts) == 1:
        return predict_in_batches(predicts[0], images, batch_size)[None]
    structure: Any = jax.tree.structure(predicts[0])
    if any(structure != jax.tree.structure(each) for each in predicts):
        raise ValueError("expected versions of one model: these have different functions or parameter trees")
    versions = list(zip(*map(jax.tree.leaves, predicts), strict=True))
    differ = tuple(any(not _equal(leaf, leaves[0]) for leaf in leaves[1:]) for leaves in versions)
    if any(apart and np.ndim(leaves[0]) > 2 for apart, leaves in zip(differ, versions, strict=True)):
        return np.stack([predict_in_batches(each, images, batch_size) for each in predicts])
    stacked = [jnp.stack(leaves) if apart else leaves[0] for apart, leaves in zip(differ, versions, strict=True)]
    if not any(differ):
        return np.stack([predict_in_batches(predicts[0], images, batch_size)] * len(predicts))
    answers = in_batches(partial(_apply_all, structure, differ, stacked), np.asarray(images), batch_size)
    return answers.swapaxes(0, 1)


def _equal(one: Any, other: Any) -> bool:
    return all(map(np.array_equal, *(jax.tree.leaves(without_keys(leaf)) for leaf in (one, other))))


@partial(jax.jit, static_argnums=(0, 1))
def _apply_all(structure: Any, differ: tuple[bool, ...], stacked: list[Array], images: Array) -> Array:
    axes = [0 if apart else None for apart in differ]
    answers = jax.vmap(lambda leaves: jax.tree.unflatten(structure, leaves)(images), in_axes=(axes,))(stacked)
    return answers.swapaxes(0, 1)  # images first: batches are joined along them
