"""How far apart two models' answers are, image by image."""

import numpy as np
from scipy.special import rel_entr

from overunlearn_jax.forgetting.checks import check_probabilities
from overunlearn_jax.types import Probabilities


def js_distance(p: Probabilities | np.ndarray, q: Probabilities | np.ndarray) -> np.ndarray:
    """Jensen-Shannon *distance* of each pair of rows: the square root of the divergence to base 2, within 0 ... 1.

    0: both models answer the same probabilities; 1: they share no class. It is a metric (Endres and Schindelin, 2003),
    which the divergence (Lin, 1991) is not; square it for the divergence in bits. On the forget set, between the
    unlearned model and one retrained without that set, 0 is perfect forgetting. Between the unlearned model and the
    original one it is how much unlearning changed, and on retained data that should be near 0.

    Computed in float64 after dividing each row by its sum. Rounding may leave the divergence of two nearly equal rows a
    little below 0, where SciPy's `jensenshannon` answers NaN; it is 0 here.

    Args:
      p: shape=(n, k), dtype=float32, one model's probabilities.
      q: shape=(n, k), the other model's for the same images.

    Returns:
      shape=(n,), dtype=float64.

    Raises:
      ValueError: if the shapes differ or the rows are no probabilities.

    Examples:
      >>> js_distance(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.5, 0.5]])).tolist()
      [1.0, 0.0]
    """
    if np.shape(p) != np.shape(q):
        raise ValueError(f"p has shape {np.shape(p)} and q {np.shape(q)}; expected both models' answers to one set")
    first, second = check_probabilities("p", p), check_probabilities("q", q)
    first, second = (rows / rows.sum(-1, keepdims=True) for rows in (first, second))
    middle = (first + second) / 2
    bits = (rel_entr(first, middle) + rel_entr(second, middle)).sum(-1) / (2 * np.log(2))
    return np.sqrt(np.clip(bits, 0, 1))
