"""Steps as vectors, by hand and beside the first-order method itself."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.types import Variables
from overunlearn_jax.unlearn import along_step, first_order, step_cosine, step_length
from tests.unlearn.small_model import BOUNDS, request, softmax_regression

MODEL = softmax_regression()
KEY = jax.random.key(0)
VARIABLES = MODEL.init(KEY)
BEFORE = Variables({"a": jnp.array([1.0, 2.0]), "b": jnp.array([[0.0]])}, {"mean": jnp.array([1.0]), "count": 3})
AFTER = Variables({"a": jnp.array([4.0, 2.0]), "b": jnp.array([[4.0]])}, {"mean": jnp.array([3.0]), "count": 4})


def test_length_and_cosine_by_hand():
    assert step_length(BEFORE, AFTER) == 5.0  # 3 and 4
    back = BEFORE._replace(params={"a": jnp.array([-2.0, 2.0]), "b": jnp.array([[-4.0]])})
    across = BEFORE._replace(params={"a": jnp.array([1.0, 7.0]), "b": jnp.array([[0.0]])})
    assert step_cosine(BEFORE, AFTER, AFTER) == pytest.approx(1.0)
    assert step_cosine(BEFORE, AFTER, back) == pytest.approx(-1.0)
    assert step_cosine(BEFORE, AFTER, across) == 0.0
    assert np.isnan(step_cosine(BEFORE, AFTER, BEFORE))


def test_parts_and_multiples_of_a_step():
    chex.assert_trees_all_equal(along_step(BEFORE, AFTER, 0.0).params, BEFORE.params)
    chex.assert_trees_all_equal(along_step(BEFORE, AFTER, 1.0), AFTER)
    twice = along_step(BEFORE, AFTER, 2.0)
    chex.assert_trees_all_equal(twice.params, {"a": jnp.array([7.0, 2.0]), "b": jnp.array([[8.0]])})
    assert twice.state == {"mean": jnp.array([5.0]), "count": 4}
    assert step_length(BEFORE, twice) == 10.0


def test_a_multiple_of_a_first_order_step_is_the_same_request_at_that_rate():
    images, labels = request(0, 12)
    at = {
        tau: first_order(tau, bounds=BOUNDS, scope="all")(MODEL, VARIABLES, images, labels, KEY) for tau in (1e-3, 3e-3)
    }
    chex.assert_trees_all_close(along_step(VARIABLES, at[1e-3], 3.0), at[3e-3], rtol=1e-4, atol=1e-6)
    assert step_length(VARIABLES, at[3e-3]) == pytest.approx(3 * step_length(VARIABLES, at[1e-3]), rel=1e-4)
    assert step_cosine(VARIABLES, at[1e-3], at[3e-3]) == pytest.approx(1.0, abs=1e-6)


def test_wrong_arguments():
    other = Variables({"a": jnp.array([1.0])})
    for call in (step_length, lambda *trees: along_step(*trees, 0.5), lambda one, two: step_cosine(one, one, two)):
        with pytest.raises(ValueError, match="the models have different forms"):
            call(BEFORE, other)
    for factor in (np.nan, np.inf):
        with pytest.raises(ValueError, match=f"factor is {factor}; expected a finite number"):
            along_step(BEFORE, AFTER, factor)
