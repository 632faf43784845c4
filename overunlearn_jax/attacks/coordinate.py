"""Optimisers that see a few coordinates at a time, with moments and step counts of their own for each coordinate.

`update_fn(state, coordinates, first, second)` takes the finite differences at `coordinates` (p,) of a variable with d
coordinates and returns the moves (p,) and the new state. Chen et al., "ZOO" (2017), algorithms 2 and 3.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from overunlearn_jax.types import Array


class CoordinateState(NamedTuple):
    """Per-coordinate memory; ZOO-Newton leaves it at zero."""

    mean: Array  # shape=(d,), dtype=float32: first moment
    square: Array  # shape=(d,), dtype=float32: second moment
    visits: Array  # shape=(d,), dtype=int32: how often this coordinate was moved


class CoordinateOptimizer(NamedTuple):
    """A pair of pure functions over one sample's coordinates."""

    init: Callable[[int], CoordinateState]
    update: Callable[[CoordinateState, Array, Array, Array], tuple[Array, CoordinateState]]


def _init_fn(size: int) -> CoordinateState:
    return CoordinateState(jnp.zeros(size), jnp.zeros(size), jnp.zeros(size, jnp.int32))


def adam(
    learning_rate: float = 1e-2, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8
) -> CoordinateOptimizer:
    """ZOO-ADAM: each coordinate's bias correction counts that coordinate's own moves."""

    def update_fn(
        state: CoordinateState, coordinates: Array, first: Array, second: Array
    ) -> tuple[Array, CoordinateState]:
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
        return moves, state

    return CoordinateOptimizer(_init_fn, update_fn)


def newton(learning_rate: float = 1e-2, smallest_curvature: float = 0.1) -> CoordinateOptimizer:
    """ZOO-Newton: a gradient step where the second difference is not positive, else a Newton step.

    Curvatures below `smallest_curvature` are taken for it: a second difference near zero is rounding.
    """

    def update_fn(
        state: CoordinateState, coordinates: Array, first: Array, second: Array
    ) -> tuple[Array, CoordinateState]:
        curvature = jnp.where(second > 0, jnp.maximum(second, smallest_curvature), 1.0)
        return -learning_rate * first / curvature, state._replace(visits=state.visits.at[coordinates].add(1))

    return CoordinateOptimizer(_init_fn, update_fn)
