"""What the measures of forgetting ask of their arrays."""

import numpy as np

from overunlearn_jax.types import Array

SUM_TOLERANCE = 1e-3  # how far from 1 a row of probabilities may sum: float16 services round


def check_probabilities(name: str, probabilities: Array | np.ndarray) -> np.ndarray:
    """Returns probabilities as float64.

    Args:
      name: of the argument, for the message.
      probabilities: shape=(n, k), floats, at least one row and two classes; rows sum to 1.

    Raises:
      ValueError: anything else.
    """
    array = np.asarray(probabilities, np.float64)
    if array.ndim != 2 or len(array) == 0 or array.shape[1] < 2:
        raise ValueError(f"{name} has shape {array.shape}; expected (n, k): a row for each sample, at least 2 classes")
    sums = array.sum(-1)
    if not (array.min() >= 0 and np.abs(sums - 1).max() <= SUM_TOLERANCE):  # False for NaN, too
        raise ValueError(
            f"the rows of {name} sum to between {sums.min():.4g} and {sums.max():.4g}, with values from "
            f"{array.min():.4g}; expected probabilities that sum to 1: if these are logits, take their softmax"
        )
    return array
