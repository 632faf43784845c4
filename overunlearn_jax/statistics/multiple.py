"""Many intervals on one page: which of them still exclude 0 when all are judged together."""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr, stdtrit

from overunlearn_jax.statistics.intervals import Interval


def p_value(interval: Interval, confidence: float = 0.95) -> float:
    """The two-sided p of Student's test against 0, from the interval of a mean.

    Args:
      interval: of `mean_interval` or `paired_difference`, uncut, of two repeats or more.
      confidence: that it was made with.

    Returns:
      1 where every repeat is 0, and 0 where all agree on something else.

    Raises:
      ValueError: for an interval of one value, which tests nothing.

    Examples:
      >>> from overunlearn_jax.statistics.intervals import mean_interval
      >>> round(p_value(mean_interval([1.0, 2.0, 3.0])), 4)
      0.0742
    """
    if interval.count < 2:
        raise ValueError("a single value tests nothing: give an interval of two repeats or more")
    freedom = interval.count - 1
    error = (interval.high - interval.low) / 2 / stdtrit(freedom, 0.5 + confidence / 2)
    if error == 0:
        return float(interval.mean == 0)
    return float(2 * stdtr(freedom, -abs(interval.mean / error)))


def stand_together(p_values: Sequence[float], rate: float = 0.05) -> np.ndarray:
    """Which findings stand when all are judged together.

    Of those that do, at most a fraction `rate` is false on average. That holds for tests that are independent or depend
    on each other positively.

    Args:
      p_values: shape=(n,), one a finding; n may be 0.
      rate: the false discovery rate, between 0 and 1.

    Returns:
      shape=(n,), dtype=bool.

    Raises:
      ValueError: for p values outside 0 to 1.

    References:
      Benjamini and Hochberg, Controlling the false discovery rate, J. R. Stat. Soc. B 57, 1995; Benjamini and
      Yekutieli, The control of the false discovery rate in multiple testing under dependency, Ann. Stat. 29, 2001.

    Examples:
      >>> stand_together([0.001, 0.04, 0.5]).tolist()
      [True, False, False]
    """
    from scipy.stats import false_discovery_control  # slow to import

    if len(p_values) == 0:
        return np.zeros(0, bool)
    return np.asarray(false_discovery_control(p_values)) <= rate
