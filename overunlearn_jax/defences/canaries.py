"""Canaries: samples whose answers change first, for a monitor to watch as a class of their own."""

import numpy as np

from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.data import take
from overunlearn_jax.types import PredictFn, Split


def nearest_to_boundary(predict: PredictFn, split: Split, count: int) -> Split:
    """The `count` rightly predicted samples whose probability leads the next class's by the least.

    They are the first whose answers change when a boundary moves. Raises ValueError where there are fewer.
    """
    answers = predict_in_batches(predict, split.images)
    rows = np.arange(len(answers))
    own = answers[rows, split.labels]
    others = answers.copy()
    others[rows, split.labels] = -1
    margins = own - others.max(-1)
    right = np.flatnonzero(margins > 0)
    if not 1 <= count <= len(right):
        raise ValueError(f"count is {count}; expected 1 to {len(right)}, the samples that are predicted rightly")
    return take(split, right[np.argsort(margins[right], kind="stable")[:count]])
