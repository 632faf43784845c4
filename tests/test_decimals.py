"""Rounded answers are known for what they are, and sum to 1 as nearly as rounding allows."""

import numpy as np
import pytest

from overunlearn_jax.black_box import BadAnswerError, check_answer
from overunlearn_jax.decimals import decimals_of, rounding_of_sums


@pytest.mark.parametrize("decimals", range(6))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_decimals_that_answers_were_rounded_to(decimals: int, dtype: type):
    values = np.random.default_rng(0).dirichlet(np.ones(10), 50)
    assert decimals_of(values.round(decimals).astype(dtype)) == decimals
    assert decimals_of(values.astype(dtype)) is None


def test_rows_of_two_decimals_are_probabilities_and_what_is_further_off_is_not():
    values = np.random.default_rng(0).dirichlet(np.ones(10), 200).round(2)
    assert np.abs(values.sum(-1) - 1).max() > 0.01
    check_answer(values, 200, 10)
    assert rounding_of_sums(values) == pytest.approx(0.05)
    with pytest.raises(BadAnswerError, match="sum to between"):
        check_answer(np.round(values * 1.2, 2), 200, 10)
    with pytest.raises(BadAnswerError, match="sum to between"):
        check_answer(values * 1.001001, 200, 10)  # not rounded: no such excuse
