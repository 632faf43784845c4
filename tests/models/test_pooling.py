"""Pooling for training beside Flax's: the same answers, and gradients that go to the same pixels."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.models.pooling import max_pool_2x2


def _flax(x):
    return nn.max_pool(x, (2, 2), (2, 2))


@pytest.mark.parametrize("shape", [(3, 8, 8, 4), (2, 7, 5, 3), (1, 2, 3, 1)])
def test_answers_and_gradients_are_those_of_flax_and_ties_go_to_the_first_pixel(shape):
    draws = np.random.default_rng(0)
    few = jnp.asarray(draws.integers(0, 3, shape), jnp.float32)  # three values only: most windows hold ties
    assert 0 < (np.asarray(few) == 0).mean() < 1
    expected, backward = jax.vjp(_flax, few)
    found, own_backward = jax.vjp(max_pool_2x2, few)
    np.testing.assert_array_equal(found, expected)
    wanted = jnp.asarray(draws.normal(size=expected.shape), jnp.float32)
    np.testing.assert_array_equal(own_backward(wanted)[0], backward(wanted)[0])


@pytest.mark.parametrize("position", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_nan_wins_wherever_it_stands(position):
    x = np.zeros((1, 2, 2, 1), np.float32)
    x[0, position[0], position[1], 0] = np.nan
    assert np.isnan(_flax(jnp.asarray(x))).all()
    assert np.isnan(max_pool_2x2(jnp.asarray(x))).all()
