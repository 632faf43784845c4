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
    """Draws the blocks to probe in this step, without replacement.

    Args:
      state: of one sample.
      moved: shape=(h, w, c), dtype=float32: how far each pixel has moved so far, 0 or more; read with importance alone.
      settings: of the search.

    Returns:
      shape=(p, 3), dtype=int32: row, column and channel where each block begins.
    """
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
    """Positions of blocks in the flattened grid of blocks.

    Args:
      corners: shape=(p, 3), integers: where each block begins.
      shape: (h, w, c) of the image.
      block: side in pixels.

    Returns:
      shape=(p,), integers.
    """
    columns = shape[1] // block
    return ((corners[:, 0] // block) * columns + corners[:, 1] // block) * shape[2] + corners[:, 2]


def _block_at(image: Array, corner: Array, block: int) -> Array:
    return lax.dynamic_slice(image, tuple(corner), (block, block, 1))[..., 0]


def blocks_at(image: Array, corners: Array, block: int) -> Array:
    """The pixels of blocks.

    Args:
      image: shape=(h, w, c).
      corners: shape=(p, 3), integers: where each block begins.
      block: side b in pixels.

    Returns:
      shape=(p, b, b), dtype of the image.
    """
    return jax.vmap(lambda corner: _block_at(image, corner, block))(corners)


def spread_over_blocks(moves: Array, shape: tuple[int, ...], block: int) -> Array:
    """Moves of the grid's coordinates as a move of the image: every pixel of a block moves alike.

    Args:
      moves: shape=(d,), one for each block.
      shape: (h, w, c) of the image.
      block: side in pixels.

    Returns:
      shape=(h, w, c), dtype of the moves.
    """
    height, width, channels = shape
    grid = moves.reshape(height // block, width // block, channels)
    return jnp.repeat(jnp.repeat(grid, block, axis=0), block, axis=1)
