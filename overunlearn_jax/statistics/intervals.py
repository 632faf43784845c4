"""Student-t intervals over independent repeats of an experiment.

>>> mean_interval([1.0, 2.0, 3.0]).mean
2.0
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

_ROUNDING = 1e-9  # of sums of a few accuracies, beyond what is possible


class Interval(NamedTuple):
    """A mean and its two-sided confidence interval, in the units of the values it was made from."""

    mean: float
    low: float  # NaN where count is 1: one value says nothing about its spread
    high: float  # NaN where count is 1
    count: int  # type: ignore[assignment]  # independent repeats; shadows tuple.count on purpose


def mean_interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> Interval:
    """Returns the mean of independent repeats with its Student-t interval.

    A single value has no interval: `low` and `high` are then NaN, never a width of zero. A width of
    zero means that two or more repeats gave the same value.

    Args:
      values: shape=(n,), one value per independent repeat (for instance one per seed), any unit.
      confidence: coverage of the two-sided interval, between 0 and 1 exclusive.

    Raises:
      ValueError: if `values` is empty, not one-dimensional or not finite, or `confidence` is out of range.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1 exclusive, got {confidence}.")
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"values must have one axis, one value per repeat; got shape {array.shape}.")
    if array.size == 0:
        raise ValueError("values is empty: an interval needs at least one repeat.")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"values must be finite, got {array.tolist()}.")
    mean = float(array.mean())
    if array.size == 1:
        return Interval(mean, float("nan"), float("nan"), 1)
    standard_error = float(array.std(ddof=1)) / np.sqrt(array.size)
    half_width = float(stdtrit(array.size - 1, 0.5 + confidence / 2) * standard_error)
    return Interval(mean, mean - half_width, mean + half_width, array.size)


def prediction_interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> Interval:
    """Returns the mean of independent repeats, and where one more repeat falls with probability `confidence`.

    mean -+ t * s * sqrt(1 + 1 / n), with Student's t of n - 1 degrees of freedom: the spread of a single value beside
    the uncertainty of the mean. Exact for normal values; it does not shrink to the mean as n grows.

    Args:
      values: shape=(n,), two or more, any unit.
      confidence: coverage of the two-sided interval, between 0 and 1 exclusive.

    Raises:
      ValueError: for a single value, whose spread nobody knows, or as `mean_interval` does.

    Examples:
      >>> float(prediction_interval([1.0, 1.0, 1.0]).high)
      1.0
    """
    of_mean = mean_interval(values, confidence)
    if of_mean.count < 2:
        raise ValueError("a single value says nothing about the next one: a prediction needs two or more.")
    half_width = (of_mean.high - of_mean.mean) * math.sqrt(of_mean.count + 1)  # s / sqrt(n) becomes s * sqrt(1 + 1 / n)
    return Interval(of_mean.mean, of_mean.mean - half_width, of_mean.mean + half_width, of_mean.count)


def paired_difference(
    first: Sequence[float] | np.ndarray,
    second: Sequence[float] | np.ndarray,
    confidence: float = 0.95,
) -> Interval:
    """Returns the interval of `first[i] - second[i]`, both measured in the same repeat i.

    Pairing removes what the two share (the seed's data split, the trained model), so the interval is
    that of the difference itself and usually much narrower than the two intervals apart.

    Args:
      first: shape=(n,), one value per repeat.
      second: shape=(n,), one value per repeat, in the same order of repeats.
      confidence: coverage of the two-sided interval, between 0 and 1 exclusive.

    Raises:
      ValueError: if the lengths differ, or as `mean_interval` does.
    """
    first_array = np.asarray(first, dtype=np.float64)
    second_array = np.asarray(second, dtype=np.float64)
    if first_array.shape != second_array.shape:
        raise ValueError(
            f"paired values must come from the same repeats: got shapes {first_array.shape} and {second_array.shape}."
        )
    return mean_interval(first_array - second_array, confidence)


def no_finer(interval: Interval, finest: float) -> Interval:
    """Returns the interval, reaching to `finest` on either side of its mean at least.

    A few repeats that happen to agree show no more than what they were measured with can: an accuracy of 37 test images
    is known to 1/37 at best. An interval of one value, or of none, is returned as it is.

    Args:
      interval: in any unit.
      finest: the smallest difference that the measure can show, in the same unit; 0 where nobody knows it.

    Raises:
      ValueError: if `finest` is negative or not finite.
    """
    if not 0 <= finest < math.inf:
        raise ValueError(f"finest must be a finite number from 0, got {finest}.")
    if interval.count < 2:
        return interval
    return interval._replace(
        low=min(interval.low, interval.mean - finest), high=max(interval.high, interval.mean + finest)
    )


def within(interval: Interval, least: float, most: float) -> Interval:
    """Returns the interval cut to what the quantity can be; its mean stays as it is.

    The Student-t interval knows of no bounds: of accuracies of 0.97, 0.97 and 1.0 it reaches beyond 1.

    Args:
      interval: in any unit.
      least: the smallest possible value, in the same unit.
      most: the largest.

    Raises:
      ValueError: if the mean lies outside `least` to `most`, or these do not rise.
    """
    if not least <= most:
        raise ValueError(f"least must not be above most, got {least} and {most}.")
    if interval.count == 0:
        return interval
    if not least - _ROUNDING <= interval.mean <= most + _ROUNDING:
        raise ValueError(f"a mean of {interval.mean} is not possible between {least} and {most}.")
    if interval.count == 1:
        return interval
    low, high = max(interval.low, least), min(interval.high, most)
    return interval._replace(low=min(low, interval.mean), high=max(high, interval.mean))  # a mean beyond by rounding
