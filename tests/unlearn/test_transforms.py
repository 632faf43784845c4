"""The first-order step as a transformation: numbers worked out by hand, with and without jit, under vmap, chained."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from overunlearn_jax.unlearn import first_order_transform

PARAMS = {"bias": jnp.array([1.0, 2.0]), "kernel": jnp.array([[0.5]])}
DIFFERENCE = {"bias": jnp.array([3.0, 0.0]), "kernel": jnp.array([[-4.0]])}  # of length 5


def _stepped(transform: optax.GradientTransformation, params: dict, difference: dict) -> dict:
    updates, _ = transform.update(difference, transform.init(params), params)
    return optax.apply_updates(params, updates)


class Steps(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_the_parameters_move_against_the_difference(self):
        step = self.variant(lambda params, difference: _stepped(first_order_transform(0.1), params, difference))
        expected = {"bias": np.array([0.7, 2.0]), "kernel": np.array([[0.9]])}
        chex.assert_trees_all_close(step(PARAMS, DIFFERENCE), expected, rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_many_rates_are_as_many_steps(self):
        step = self.variant(jax.vmap(lambda tau: _stepped(first_order_transform(tau), PARAMS, DIFFERENCE)))
        expected = {"bias": np.array([[1.0, 2.0], [-0.5, 2.0]]), "kernel": np.array([[[0.5]], [[2.5]]])}
        chex.assert_trees_all_close(step(jnp.array([0.0, 0.5])), expected, rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_a_bounded_difference(self):
        chain = optax.chain(optax.clip_by_global_norm(1.0), first_order_transform(1.0))
        step = self.variant(lambda params, difference: _stepped(chain, params, difference))
        expected = {"bias": np.array([0.4, 2.0]), "kernel": np.array([[1.3]])}
        chex.assert_trees_all_close(step(PARAMS, DIFFERENCE), expected, rtol=1e-6)
