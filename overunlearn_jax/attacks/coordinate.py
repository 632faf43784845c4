"""Optimisers that see a few coordinates at a time, with moments and step counts of their own for each coordinate.

`update_fn(state, coordinates, first, second)` takes the finite differences at `coordinates` (p,) of a variable with d
coordinates and returns the moves of all of them (d,) and the new state.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax.numpy as jnp

from overunlearn_jax.types import Array

SMALLEST_GRADIENT = 1e-12  # where all differences are 0 there is no direction, and no step


class CoordinateState(NamedTuple):
    """Per-coordinate memory; a solver leaves at zero what it does not use."""

    mean: Array  # shape=(d,), dtype=float32: first moment; SEGA: the last first difference
    square: Array  # shape=(d,), dtype=float32: second moment
    visits: Array  # shape=(d,), dtype=int32: how often this coordinate was probed


class CoordinateOptimizer(NamedTuple):
    """A pair of pure functions over one sample's coordinates."""

    init: Callable[[int], CoordinateState]
    update: Callable[[CoordinateState, Array, Array, Array], tuple[Array, CoordinateState]]


def _init_fn(size: int) -> CoordinateState:
    return CoordinateState(jnp.zeros(size), jnp.zeros(size), jnp.zeros(size, jnp.int32))


def _check(state: CoordinateState, coordinates: Array, first: Array, second: Array) -> None:
    """One sample, p coordinates: what `jax.vmap` hides from the rank is not there, and a batch by mistake is found."""
    chex.assert_rank(list(state), 1)
    chex.assert_equal_shape([coordinates, first, second])
    chex.assert_rank(first, 1)


def adam(
    learning_rate: float = 1e-2, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8
) -> CoordinateOptimizer:
    """ZOO-ADAM (Chen et al. 2017, algorithm 2): each coordinate's bias correction counts its own moves."""

    def update_fn(
        state: CoordinateState, coordinates: Array, first: Array, second: Array
    ) -> tuple[Array, CoordinateState]:
        _check(state, coordinates, first, second)
        del second  # Unused: a first-order method.
        mean = beta_1 * state.mean[coordinates] + (1 - beta_1) * first
        square = beta_2 * state.square[coordinates] + (1 - beta_2) * first**2
        count = state.visits[coordinates] + 1
        correction = jnp.sqrt(1 - beta_2 ** count.astype(jnp.float32)) / (1 - beta_1 ** count.astype(jnp.float32))
        moves = -learning_rate * correction * mean / (jnp.sqrt(square) + epsilon)
        state = CoordinateState(
            state.mean.at[coordinates].set(mean),
            state.square.at[coordinates].set(square),
            state.visits.at[coordinates].set(count),
        )
        return jnp.zeros_like(state.mean).at[coordinates].set(moves), state

    return CoordinateOptimizer(_init_fn, update_fn)


def newton(learning_rate: float = 1e-2, smallest_curvature: float = 0.1) -> CoordinateOptimizer:
    """ZOO-Newton (Chen et al. 2017, algorithm 3): a gradient step where the second difference is not positive.

    Curvatures below `smallest_curvature` are taken for it: a second difference near zero is rounding.
    """

    def update_fn(
        state: CoordinateState, coordinates: Array, first: Array, second: Array
    ) -> tuple[Array, CoordinateState]:
        _check(state, coordinates, first, second)
        curvature = jnp.where(second > 0, jnp.maximum(second, smallest_curvature), 1.0)
        moves = jnp.zeros_like(state.mean).at[coordinates].set(-learning_rate * first / curvature)
        return moves, state._replace(visits=state.visits.at[coordinates].add(1))

    return CoordinateOptimizer(_init_fn, update_fn)


def sega(learning_rate: float = 1e-2) -> CoordinateOptimizer:
    """Steps of length `learning_rate` along the gradient as far as it is remembered, in all coordinates at once.

    Each coordinate keeps its last first difference, 0 before its first visit: no query is forgotten after one step.
    After the biased SEGA of Hanzely, Mishchenko and Richtarik, "SEGA: Variance Reduction via Gradient Sketching"
    (2018), with steps of fixed length.
    """

    def update_fn(
        state: CoordinateState, coordinates: Array, first: Array, second: Array
    ) -> tuple[Array, CoordinateState]:
        _check(state, coordinates, first, second)
        del second  # Unused: a first-order method.
        gradient = state.mean.at[coordinates].set(first)
        moves = -learning_rate * gradient / jnp.maximum(jnp.linalg.norm(gradient), SMALLEST_GRADIENT)
        return moves, state._replace(mean=gradient, visits=state.visits.at[coordinates].add(1))

    return CoordinateOptimizer(_init_fn, update_fn)
