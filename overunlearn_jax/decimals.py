"""Whether answers are rounded, and to how many decimals: many services print three or four digits and no more."""

import numpy as np

MOST = 5  # decimals that float32 shows without doubt
FLOAT32 = 1.2e-7  # rounding of a probability in float32, with a margin


def decimals_of(values: np.ndarray) -> int | None:
    """The fewest decimals that hold all values; None where they need more than 5.

    Args:
      values: probabilities of any shape, float32 or finer.

    Examples:
      >>> decimals_of(np.array([0.25, 0.5])), decimals_of(np.array([1.0, 0.0])), decimals_of(np.array([1 / 3]))
      (2, 0, None)
    """
    exact = np.asarray(values, np.float64)
    for decimals in range(MOST + 1):
        scaled = exact * 10**decimals
        if (np.abs(scaled - np.rint(scaled)) <= FLOAT32 * 10**decimals).all():
            return decimals
    return None


def rounding_of_sums(values: np.ndarray) -> float:
    """How far from 1 rows of rounded probabilities may sum; 0 where they are not rounded.

    Each of k numbers is off by up to half a unit of its last decimal.

    Args:
      values: shape=(n, k), floats: probabilities as answered.
    """
    decimals = decimals_of(values)
    return values.shape[-1] * 0.5 * 10.0**-decimals if decimals else 0.0
