"""How many repeats a claim needs: one-sided Student-t tests of a mean against a limit.

>>> repeats_needed(distance=1.0, spread=1.0, power=0.8)
8
"""

import numpy as np
from scipy import stats


def power_of(repeats: int, distance: float, spread: float, confidence: float = 0.95) -> float:
    """The chance that a one-sided t test of `repeats` values shows their mean to lie below a limit.

    The values are Gaussian with standard deviation `spread`, and their true mean lies `distance` below the limit. The
    statistic follows the noncentral t distribution (Owen, 1965). Raises ValueError for fewer than 2 repeats.
    """
    if repeats < 2:
        raise ValueError(f"repeats is {repeats}; a t test needs at least 2")
    if spread == 0:
        return float(distance > 0)
    critical = stats.t.ppf(confidence, repeats - 1)
    return float(stats.nct.sf(critical, repeats - 1, distance / spread * np.sqrt(repeats)))


def repeats_needed(
    distance: float, spread: float, *, power: float = 0.8, confidence: float = 0.95, most: int = 1000
) -> int | None:
    """The fewest repeats whose `power_of` reaches `power`; None where `most` do not suffice, as for no distance.

    Args:
      distance: how far the true mean lies below the limit, in the unit of the values; at 0 or less no number suffices.
      spread: standard deviation of the values, 0 or more.
      power: the chance to reach, between 0 and 1.
      confidence: of the test, between 0 and 1.
      most: where to stop looking.

    Raises:
      ValueError: numbers out of range.
    """
    if not (0 < power < 1 and 0 < confidence < 1):
        raise ValueError(f"power is {power} and confidence {confidence}; expected numbers between 0 and 1")
    if spread < 0 or not np.isfinite([distance, spread]).all():
        raise ValueError(f"distance is {distance} and spread {spread}; expected finite numbers, the spread 0 or more")
    if distance <= 0 or power_of(most, distance, spread, confidence) < power:
        return None
    low, high = 1, most  # the power grows with the repeats; `high` suffices, `low` does not
    while high - low > 1:
        middle = (low + high) // 2
        if power_of(middle, distance, spread, confidence) >= power:
            high = middle
        else:
            low = middle
    return high
