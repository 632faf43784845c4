"""Whether a model is as sure as it is right."""

import numpy as np

from overunlearn_jax.labels import check_labels


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, *, bins: int = 15) -> float:
    """The mean distance of accuracy from confidence, over bins of confidence (Guo et al., ICML 2017, equation 3).

    Confidence is the largest probability of a sample. Bins are of equal width; the first one holds 0, each its upper
    edge. Depends on the number of bins, and is too large for few samples.

    Args:
      probabilities: shape=(n, k), rows that sum to 1.
      labels: shape=(n,).
      bins: from 0 to 1.

    Returns:
      A fraction in [0, 1].

    Raises:
      ValueError: other probabilities or labels, no samples, no bins.

    >>> expected_calibration_error(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]))
    0.0
    """
    array, own = _checked(probabilities, labels)
    if bins < 1:
        raise ValueError(f"bins are {bins}; expected at least 1")
    confidence, right = array.max(-1), array.argmax(-1) == own
    places = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(places, weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(own))


def brier_score(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance of probabilities from the label's one and zeros (Brier, 1950): 0 is best, 2 is worst.

    Args:
      probabilities: shape=(n, k), rows that sum to 1.
      labels: shape=(n,).

    Raises:
      ValueError: other probabilities or labels, or no samples.

    >>> brier_score(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]))
    1.0
    """
    array, own = _checked(probabilities, labels)
    return float(np.square(array - np.eye(array.shape[1])[own]).sum(-1).mean())


def _checked(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    array = np.asarray(probabilities, np.float64)
    if array.ndim != 2 or len(array) == 0 or not np.allclose(array.sum(-1), 1, atol=1e-3) or array.min() < 0:
        raise ValueError(f"probabilities of shape {array.shape} are none; expected (n, k), rows from 0 that sum to 1")
    return array, check_labels("labels", labels, len(array), array.shape[1])
