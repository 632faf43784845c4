"""Intervals against numbers worked out by hand and against the coverage they promise."""

import math

import numpy as np
import pytest
import scipy.stats

from overunlearn_jax.statistics.intervals import (
    Interval,
    mean_interval,
    no_finer,
    paired_difference,
    prediction_interval,
    within,
)


def test_interval_of_one_two_three():
    # standard deviation 1, standard error 1 / sqrt(3), t(0.975, 2) = 4.302653: half width 2.484138
    interval = mean_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2.0
    assert interval.low == pytest.approx(2 - 2.484138, abs=1e-6)
    assert interval.high == pytest.approx(2 + 2.484138, abs=1e-6)
    assert interval.count == 3


def test_confidence_sets_the_width():
    # t(0.95, 2) = 2.919986
    interval = mean_interval(np.array([1.0, 2.0, 3.0]), confidence=0.9)
    assert interval.high - interval.mean == pytest.approx(2.919986 / math.sqrt(3), abs=1e-6)


def test_one_value_has_no_interval_rather_than_a_width_of_zero():
    interval = mean_interval([0.25])
    assert (interval.mean, interval.count) == (0.25, 1)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_equal_values_have_a_width_of_zero():
    assert mean_interval([0.5, 0.5, 0.5]) == Interval(0.5, 0.5, 0.5, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "empty"),
        ([1.0, float("nan")], "finite"),
        ([1.0, float("inf")], "finite"),
        ([[1.0, 2.0]], "one axis"),
        (3.0, "one axis"),
    ],
)
def test_values_that_have_no_interval_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        mean_interval(values)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_confidence_out_of_range_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence"):
        mean_interval([1.0, 2.0], confidence)


def test_paired_difference_is_first_minus_second():
    # the differences are 3, 2, 1
    interval = paired_difference([13.0, 22.0, 31.0], [10.0, 20.0, 30.0])
    assert interval.mean == 2.0
    assert interval.high - 2.0 == pytest.approx(2.484138, abs=1e-6)


def test_pairing_removes_what_the_repeats_share():
    shared = np.array([0.0, 10.0, -5.0, 40.0])
    interval = paired_difference(shared + 1.0, shared)
    assert interval == Interval(1.0, 1.0, 1.0, 4)


def test_paired_difference_needs_equal_lengths():
    with pytest.raises(ValueError, match="same repeats"):
        paired_difference([1.0, 2.0], [1.0])


def test_interval_covers_the_truth_as_often_as_promised():
    rng = np.random.default_rng(0)
    intervals = [mean_interval(rng.normal(3.0, 2.0, size=4), confidence=0.8) for _ in range(2000)]
    covered = np.mean([interval.low <= 3.0 <= interval.high for interval in intervals])
    assert 0.77 < covered < 0.83  # the standard error of a share of 0.8 in 2,000 is 0.009


def test_an_interval_is_no_finer_than_what_was_measured_with():
    agreeing = Interval(0.5, 0.5, 0.5, 3)
    assert no_finer(agreeing, 0.1) == Interval(0.5, 0.4, 0.6, 3)
    assert no_finer(agreeing, 0.0) == agreeing
    wide = Interval(0.5, 0.2, 0.8, 3)
    assert no_finer(wide, 0.1) == wide
    assert math.isnan(no_finer(mean_interval([0.5]), 0.1).low)  # one value has none to widen
    for finest in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="finest must be a finite number from 0"):
            no_finer(agreeing, finest)


def test_an_interval_ends_where_the_quantity_does():
    assert within(Interval(0.9, 0.7, 1.1, 3), 0.0, 1.0) == Interval(0.9, 0.7, 1.0, 3)
    assert within(Interval(0.1, -0.1, 0.3, 3), 0.0, 1.0) == Interval(0.1, 0.0, 0.3, 3)
    assert within(Interval(0.5, 0.4, 0.6, 3), 0.0, 1.0) == Interval(0.5, 0.4, 0.6, 3)
    assert math.isnan(within(mean_interval([0.5]), 0.0, 1.0).low)
    nothing = Interval(math.nan, math.nan, math.nan, 0)
    assert within(nothing, 0.0, 1.0) is nothing
    by_rounding = Interval(0.1 + 0.2, 0.2, 0.4, 2)
    assert within(by_rounding, 0.0, 0.3).high == by_rounding.mean > 0.3
    with pytest.raises(ValueError, match=r"a mean of 1\.5 is not possible between 0\.0 and 1\.0"):
        within(Interval(1.5, 1.4, 1.6, 3), 0.0, 1.0)
    with pytest.raises(ValueError, match="least must not be above most"):
        within(Interval(0.5, 0.4, 0.6, 3), 1.0, 0.0)


def test_cutting_loses_none_of_the_coverage_of_what_is_possible():
    rng = np.random.default_rng(0)
    shares = rng.binomial(37, 0.97, size=(2000, 3)) / 37
    plain = [mean_interval(values, 0.9) for values in shares]
    cut = [within(interval, 0.0, 1.0) for interval in plain]
    assert [one.low <= 0.97 <= one.high for one in cut] == [one.low <= 0.97 <= one.high for one in plain]


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("count", [2, 5, 30])
def test_prediction_interval_is_that_of_scipy(confidence, count):
    values = np.random.default_rng(count).normal(3.0, 2.0, count)
    found = prediction_interval(values, confidence)
    spread = values.std(ddof=1) * np.sqrt(1 + 1 / count)
    low, high = scipy.stats.t.interval(confidence, count - 1, values.mean(), spread)
    assert (found.mean, found.low, found.high, found.count) == pytest.approx((values.mean(), low, high, count))


def test_prediction_interval_covers_the_next_value_as_often_as_promised():
    draws = np.random.default_rng(0).normal(size=(4000, 6))
    intervals = [prediction_interval(draw[:5], 0.9) for draw in draws]
    covered = [found.low <= draw[5] <= found.high for found, draw in zip(intervals, draws, strict=True)]
    assert np.mean(covered) == pytest.approx(0.9, abs=0.015)


def test_a_single_value_predicts_nothing():
    with pytest.raises(ValueError, match="a prediction needs two or more"):
        prediction_interval([1.0])
