"""Many findings at once: p values from intervals beside SciPy's test, the procedure beside its definition."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from overunlearn_jax.statistics.intervals import mean_interval
from overunlearn_jax.statistics.multiple import p_value, stand_together

DRAWS = np.random.default_rng(0)


@pytest.mark.parametrize("count", [2, 3, 10])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_p_of_an_interval_is_student_s(count: int, confidence: float):
    values = DRAWS.normal(0.5, 1.0, count)
    assert p_value(mean_interval(values, confidence), confidence) == pytest.approx(ttest_1samp(values, 0).pvalue)


def test_an_interval_that_touches_0_has_the_p_that_it_was_made_with():
    values = np.array([1.0, 2.0, 3.0])
    touching = mean_interval(values)
    shifted = mean_interval(values - touching.low)
    assert shifted.low == pytest.approx(0)
    assert p_value(shifted) == pytest.approx(0.05)


def test_repeats_that_agree():
    assert p_value(mean_interval([0.0, 0.0])) == 1
    assert p_value(mean_interval([0.5, 0.5])) == 0
    with pytest.raises(ValueError, match="a single value tests nothing"):
        p_value(mean_interval([1.0]))


def test_the_largest_p_below_its_share_of_the_rate_decides():
    for _ in range(20):
        found = DRAWS.uniform(0, 1, 12) ** 4
        ordered = np.sort(found)
        below = np.flatnonzero(ordered <= 0.05 * np.arange(1, 13) / 12)
        most = ordered[below[-1]] if len(below) else -1.0
        np.testing.assert_array_equal(stand_together(found), found <= most)


def test_limit_cases():
    assert stand_together([]).tolist() == []
    assert stand_together([0.04]).tolist() == [True]  # alone: judged as it is
    assert stand_together([1.0, 1.0]).tolist() == [False, False]
    with pytest.raises(ValueError, match="`ps`"):
        stand_together([1.5])
