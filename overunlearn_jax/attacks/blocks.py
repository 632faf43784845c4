"""The square of pixels that one coordinate stands for: drawn, read, changed in a probe, moved in a step.

With blocks of 1, the paper's search, a coordinate is one pixel of one channel.
"""

import jax
import jax.numpy as jnp
from jax import lax

from overunlearn_jax.attacks.zoo_state import ZooSettings, ZooState
from overunlearn_jax.types import Array

SMALLEST_IMPORTANCE = 1e-3  # of the largest: every coordinate keeps a chance
SMALLEST_MOVE = 1e-5  # of the pixel range: what moved less did so by rounding


def choose_blocks(state: ZooState, moved: Array, settings: ZooSettings) -> Array:
    """Corners (p, 3) of the blocks to probe in this step, drawn without replacement."""
    height, width, channels = state.original.shape
    grid = (height // settings.block, width // settings.block, channels)
    key = jax.random.fold_in(state.key, state.step)
    scores = jax.random.gumbel(key, grid)
    if settings.importance:
        window = (3 * settings.block, 3 * settings.block, 1)
        pooled = lax.reduce_window(moved, -jnp.inf, lax.max, window, (settings.block, settings.block, 1), "SAME")
        smallest_move = SMALLEST_MOVE * (settings.bounds.upper - settings.bounds.lower)
        scores += jnp.log(jnp.maximum(pooled, jnp.maximum(smallest_move, SMALLEST_IMPORTANCE * pooled.max())))
    _, chosen = lax.top_k(scores.reshape(-1), settings.coordinates)
    row, column, channel = jnp.unravel_index(chosen, grid)
    return jnp.stack([row * settings.block, column * settings.block, channel], axis=-1)


def flat_index(corners: Array, shape: tuple[int, ...], block: int) -> Array:
    """Coordinates (p,) of the blocks that begin at `corners`, as positions in the flattened grid of blocks."""
    columns = shape[1] // block
    return ((corners[:, 0] // block) * columns + corners[:, 1] // block) * shape[2] + corners[:, 2]


def _block_at(image: Array, corner: Array, block: int) -> Array:
    return lax.dynamic_slice(image, tuple(corner), (block, block, 1))[..., 0]


def blocks_at(image: Array, corners: Array, block: int) -> Array:
    """Pixels (p, b, b) of the blocks that begin at `corners`."""
    return jax.vmap(lambda corner: _block_at(image, corner, block))(corners)


def spread_over_blocks(moves: Array, shape: tuple[int, ...], block: int) -> Array:
    """Moves (d,) of the grid's coordinates as an array (h, w, c): every pixel of a block moves alike."""
    height, width, channels = shape
    grid = moves.reshape(height // block, width // block, channels)
    return jnp.repeat(jnp.repeat(grid, block, axis=0), block, axis=1)
