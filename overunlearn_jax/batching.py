"""Long arrays through a jitted function in pieces of one static shape."""

from collections.abc import Callable

import jax
import numpy as np

from overunlearn_jax.types import Images, PredictFn

apply_predict = jax.jit(lambda predict, images: predict(images))


def in_batches(call: Callable[[np.ndarray], np.ndarray], images: np.ndarray, batch_size: int) -> np.ndarray:
    """Concatenates `call` over batches of exactly `batch_size` rows; the last is padded with its own first row.

    Raises ValueError for an empty array or a batch size below 1.
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


def predict_in_batches(predict: PredictFn, images: Images, batch_size: int = 256) -> np.ndarray:
    """Probabilities, shape (n, k), of a jittable victim (a `jax.tree_util.Partial`, traced once per shape)."""
    return in_batches(lambda batch: apply_predict(predict, batch), np.asarray(images), batch_size)
