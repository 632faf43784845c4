"""Coordinate ADAM against optax's, coordinate Newton against a parabola."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from overunlearn_jax.attacks import coordinate


def test_first_move_of_each_coordinate_has_the_size_of_the_learning_rate():
    solver = coordinate.adam(learning_rate=0.05)
    state = solver.init(6)
    # coordinate 2 is moved five times before coordinate 4 moves at all: each has a bias correction of its own
    for _ in range(5):
        _, state = solver.update(state, jnp.array([2]), jnp.array([3.0]), jnp.array([0.0]))
    moves, state = solver.update(state, jnp.array([4, 0]), jnp.array([-7.0, 1e-3]), jnp.zeros(2))
    np.testing.assert_allclose(moves, [-0.05, 0, 0, 0, 0.05, 0], rtol=1e-3)
    np.testing.assert_array_equal(state.visits, [1, 0, 5, 0, 1, 0])
    np.testing.assert_array_equal(state.mean[jnp.array([1, 3, 5])], 0)
    np.testing.assert_array_equal(state.square[jnp.array([1, 3, 5])], 0)


def test_adam_on_all_coordinates_is_optax_adam():
    size, steps = 7, 25
    gradients = np.random.default_rng(0).normal(size=(steps, size)).astype(np.float32)
    # epsilon far below the gradients: optax adds it after the bias correction, the ZOO paper before
    solver, known = coordinate.adam(0.1, epsilon=1e-8), optax.adam(0.1, eps=1e-8)
    state, known_state = solver.init(size), known.init(jnp.zeros(size))
    for gradient in gradients:
        moves, state = solver.update(state, jnp.arange(size), gradient, jnp.zeros(size))
        known_moves, known_state = known.update(gradient, known_state)
        np.testing.assert_allclose(moves, known_moves, rtol=1e-4, atol=1e-7)


def test_adam_on_some_coordinates_is_optax_adam_on_what_each_has_seen():
    rng = np.random.default_rng(1)
    solver, known = coordinate.adam(0.1), optax.adam(0.1)
    state = solver.init(5)
    known_states = [known.init(jnp.zeros(())) for _ in range(5)]
    for _ in range(15):
        coordinates = rng.permutation(5)[:2]
        gradient = rng.normal(size=2).astype(np.float32)
        moves, state = solver.update(state, jnp.asarray(coordinates), gradient, jnp.zeros(2))
        for place, index in enumerate(coordinates):
            expected, known_states[index] = known.update(gradient[place], known_states[index])
            np.testing.assert_allclose(moves[index], expected, rtol=1e-4)


def test_newton_reaches_the_bottom_of_a_parabola_in_one_step():
    # f(x) = a (x - m)^2, so f' = 2 a (x - m) and f'' = 2 a
    a, m, x = jnp.array([0.5, 3.0]), jnp.array([1.0, -2.0]), jnp.array([4.0, 5.0])
    solver = coordinate.newton(learning_rate=1.0)
    moves, state = solver.update(solver.init(4), jnp.array([3, 1]), 2 * a * (x - m), 2 * a)
    np.testing.assert_allclose(x + moves[jnp.array([3, 1])], m, rtol=1e-6)
    np.testing.assert_array_equal(state.visits, [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("second", "move"),
    [(4.0, -0.25), (0.1, -10.0), (0.05, -10.0), (0.0, -1.0), (-3.0, -1.0)],  # floor at 0.1; else a gradient step
)
def test_newton_by_hand(second, move):
    solver = coordinate.newton(learning_rate=0.5)
    moves, _ = solver.update(solver.init(1), jnp.array([0]), jnp.array([2.0]), jnp.array([second]))
    np.testing.assert_allclose(moves, [move], rtol=1e-6)


def test_sega_remembers_the_last_difference_of_every_coordinate():
    # of f(x) = g . x it knows the whole gradient after one visit everywhere: then its step is the steepest one
    gradient = np.array([3.0, -4.0, 12.0, 0.0], np.float32)
    solver = coordinate.sega(learning_rate=0.26)
    state = solver.init(4)
    moves, state = solver.update(state, jnp.array([1, 0]), gradient[[1, 0]], jnp.zeros(2))
    np.testing.assert_allclose(moves, 0.26 * np.array([-0.6, 0.8, 0, 0]), rtol=1e-6)
    moves, state = solver.update(state, jnp.array([2, 3]), gradient[[2, 3]], jnp.zeros(2))
    np.testing.assert_allclose(moves, -0.26 * gradient / 13, rtol=1e-6)
    moves, state = solver.update(state, jnp.array([2]), jnp.array([0.0]), jnp.zeros(1))  # what is seen again is renewed
    np.testing.assert_allclose(moves, 0.26 * np.array([-0.6, 0.8, 0, 0]), rtol=1e-6)
    np.testing.assert_array_equal(state.visits, [1, 1, 2, 1])


def test_sega_stays_where_every_difference_is_zero():
    solver = coordinate.sega()
    moves, _ = solver.update(solver.init(3), jnp.array([0, 2]), jnp.zeros(2), jnp.zeros(2))
    np.testing.assert_array_equal(moves, 0)


@pytest.mark.parametrize("make", [coordinate.adam, coordinate.newton, coordinate.sega])
def test_solvers_batch_under_vmap_and_jit(make):
    solver = make(0.1)
    alone = solver.init(4)
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), alone)
    coordinates = jnp.array([[0, 1], [2, 3]])
    first, second = jnp.array([[1.0, -2.0], [3.0, 0.5]]), jnp.array([[1.0, 2.0], [0.2, 5.0]])
    moves, _ = jax.jit(jax.vmap(solver.update))(batch, coordinates, first, second)
    expected, _ = solver.update(alone, coordinates[1], first[1], second[1])
    np.testing.assert_allclose(moves[1], expected, rtol=1e-6)
