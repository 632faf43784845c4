"""Repeats that a claim needs, beside simulated experiments."""

import doctest

import numpy as np
import pytest
from scipy import stats

from overunlearn_jax.statistics import power
from overunlearn_jax.statistics.power import power_of, repeats_needed


@pytest.mark.parametrize(("repeats", "distance", "spread"), [(3, 1.0, 0.5), (5, 0.3, 0.4), (20, 0.1, 0.3)])
def test_power_is_the_share_of_experiments_that_show_it(repeats, distance, spread):
    draws = np.random.default_rng(0).normal(-distance, spread, (20_000, repeats))
    shown = stats.ttest_1samp(draws, 0.0, axis=1, alternative="less").pvalue < 0.05
    assert power_of(repeats, distance, spread) == pytest.approx(shown.mean(), abs=0.012)


def test_no_distance_has_the_power_of_a_false_alarm():
    assert power_of(5, 0.0, 1.0) == pytest.approx(0.05)
    assert power_of(5, 0.0, 1.0, confidence=0.99) == pytest.approx(0.01)


@pytest.mark.parametrize(("distance", "spread"), [(1.0, 1.0), (0.2, 1.0), (0.05, 0.02), (0.03, 0.1)])
def test_the_number_suffices_and_one_less_does_not(distance, spread):
    needed = repeats_needed(distance, spread)
    assert needed is not None
    assert power_of(needed, distance, spread) >= 0.8
    assert needed == 2 or power_of(needed - 1, distance, spread) < 0.8


def test_limits():
    assert repeats_needed(0.1, 0.0) == 2
    assert repeats_needed(0.0, 0.1) is None
    assert repeats_needed(-0.1, 0.1) is None
    assert repeats_needed(0.001, 1.0) is None
    assert repeats_needed(0.001, 1.0, most=10_000_000) > 1000
    for bad in ({"power": 1.0}, {"confidence": 0.0}):
        with pytest.raises(ValueError, match="between 0 and 1"):
            repeats_needed(0.1, 0.1, **bad)
    with pytest.raises(ValueError, match="expected finite"):
        repeats_needed(float("nan"), 0.1)
    with pytest.raises(ValueError, match="at least 2"):
        power_of(1, 0.1, 0.1)


def test_examples():
    assert doctest.testmod(power).failed == 0
