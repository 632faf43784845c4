"""The small pure functions of a search give the same numbers with and without jit, and under vmap; none is retraced."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from overunlearn_jax.attacks.coordinate import adam, newton, sega
from overunlearn_jax.attacks.criteria import targeted, untargeted
from overunlearn_jax.attacks.differences import central, one_sided
from overunlearn_jax.attacks.spaces import box_space, tanh_space
from overunlearn_jax.types import Bounds

BOUNDS = Bounds(-0.5, 0.5)
PROBABILITIES = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], np.float32)


class Variants(chex.TestCase):
    """Numbers worked out by hand."""

    @chex.variants(with_jit=True, without_jit=True)
    def test_margins(self):
        away, towards = (self.variant(criterion().margin) for criterion in (untargeted, targeted))
        np.testing.assert_allclose(away(PROBABILITIES[0], jnp.int32(0), jnp.int32(0)), np.log(0.5 / 0.3), rtol=1e-6)
        np.testing.assert_allclose(towards(PROBABILITIES[0], jnp.int32(0), jnp.int32(2)), np.log(0.5 / 0.2), rtol=1e-6)
        batched = self.variant(jax.vmap(untargeted().margin))
        found = batched(PROBABILITIES, jnp.array([0, 0]), jnp.array([0, 0]))
        np.testing.assert_allclose(found, [np.log(0.5 / 0.3), 0.0], rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_differences_of_a_parabola(self):
        points = jnp.array([1.0, -2.0])
        for rule, exact in ((central(0.1), True), (one_sided(0.1, BOUNDS), False)):
            offsets = self.variant(rule.offsets)(jnp.zeros((2, 1, 1)))
            changes = (points[:, None] + offsets) ** 2 - points[:, None] ** 2
            first, second = self.variant(rule.estimate)(changes, offsets)
            np.testing.assert_allclose(first, 2 * points, atol=1e-5 if exact else 0.1 + 1e-5)
            np.testing.assert_allclose(second, [2.0, 2.0] if exact else [0.0, 0.0], atol=1e-4)

    @chex.variants(with_jit=True, without_jit=True)
    def test_spaces_map_there_and_back(self):
        images = jnp.linspace(-0.49, 0.49, 9)
        for space in (tanh_space(BOUNDS), box_space(BOUNDS)):
            there = self.variant(space.from_image)(images)
            np.testing.assert_allclose(self.variant(space.to_image)(there), images, atol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_first_moves_are_the_learning_rate_against_the_sign(self):
        coordinates, first, second = jnp.array([1, 3]), jnp.array([2.0, -5.0]), jnp.array([1.0, 1.0])
        expected = {adam: [-0.01, 0.01], newton: [-0.02, 0.05], sega: [-0.01 * 2 / 29**0.5, 0.01 * 5 / 29**0.5]}
        for solver, moves in expected.items():
            optimizer = solver(0.01)
            found, state = self.variant(optimizer.update)(optimizer.init(5), coordinates, first, second)
            np.testing.assert_allclose(found, np.array([0, moves[0], 0, moves[1], 0]), rtol=1e-5)
            np.testing.assert_array_equal(state.visits, [0, 1, 0, 1, 0])


class Shapes(parameterized.TestCase):
    """A batch where one sample is expected is found when it is traced."""

    @parameterized.parameters(adam, newton, sega)
    def test_a_batch_is_no_sample(self, solver):
        optimizer = solver()
        batch = jnp.ones((4, 2))
        with pytest.raises(AssertionError):
            jax.jit(optimizer.update)(optimizer.init(5), jnp.array([1, 3]), batch, batch)
        with pytest.raises(AssertionError):
            jax.jit(untargeted().margin)(PROBABILITIES, jnp.int32(0), jnp.int32(0))

    @parameterized.parameters(adam, newton, sega)
    def test_steps_are_traced_once(self, solver):
        chex.clear_trace_counter()
        optimizer = solver()
        step = jax.jit(chex.assert_max_traces(optimizer.update, n=1))
        state = optimizer.init(5)
        for number in range(3):
            first = jnp.array([1.0, float(number)])
            _, state = step(state, jnp.array([0, number]), first, first)
        with pytest.raises(AssertionError):
            step(state, jnp.array([0]), first[:1], first[:1])  # the counter does see another shape
