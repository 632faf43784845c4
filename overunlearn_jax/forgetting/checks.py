"""What the measures of forgetting ask of their arrays."""

import numpy as np

from overunlearn_jax.types import Array, Labels

SUM_TOLERANCE = 1e-3  # how far from 1 a row of probabilities may sum: float16 services round


def check_probabilities(name: str, probabilities: Array | np.ndarray) -> np.ndarray:
    """`probabilities` (n, k) as float64. Raises ValueError, calling them `name`, for anything else."""
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


def check_labels(labels: Labels, count: int, num_classes: int) -> np.ndarray:
    """`labels` as a NumPy array. Raises ValueError unless they are `count` integers in 0 ... num_classes - 1."""
    array = np.asarray(labels)
    if array.shape != (count,) or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"labels are {array.dtype} of shape {array.shape}; expected {count} integers, one a sample")
    if array.min() < 0 or array.max() >= num_classes:
        raise ValueError(f"labels lie in {array.min()} ... {array.max()}; expected 0 ... {num_classes - 1}")
    return array
