"""A feature map that differs from a known one inside a small window only."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from overunlearn_jax.types import Array


class Edited(NamedTuple):
    """The feature map of one edited image: `base` everywhere, and `base + change` inside one window.

    The edit begins at pixel `origin` of the image. `corners[axis][origin[axis]]` is the first row (axis 0) or column
    (axis 1) of the window; these tables are known while tracing, so every shape and every possible offset is static.
    A window may hang over the edge of the map. Truth values change by exclusive or.
    """

    base: Array  # shape=(1, h, w, c): of the unchanged image
    change: Array  # shape=(1, r, s, c)
    corners: tuple[np.ndarray, np.ndarray]  # shapes=(image height,), (image width,), dtype=int
    origin: tuple[Array, Array]  # shapes=(), dtype=int32
    clean: bool  # whether `change` is known to be zero beyond the edge of the map

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the window."""
        return self.change.shape[1], self.change.shape[2]

    @property
    def map_size(self) -> tuple[int, int]:
        """Rows and columns of the map."""
        return self.base.shape[1], self.base.shape[2]


def added(values: Array, change: Array) -> Array:
    """The changed values.

    Args:
      values: shape=(1, r, s, c), any dtype.
      change: the same shape and dtype; truth values change by exclusive or.
    """
    return values ^ change if values.dtype == bool else values + change


def difference(new: Array, old: Array) -> Array:
    """The change that makes `new` of `old`; zero where they are equal, infinite values, too.

    Args:
      new: shape=(1, r, s, c), any dtype.
      old: the same shape=(1, r, s, c) and dtype.
    """
    return new ^ old if new.dtype == bool else jnp.where(new == old, jnp.zeros((), new.dtype), new - old)


def look_up(corners: tuple[np.ndarray, np.ndarray], origin: tuple[Array, Array]) -> tuple[Array, Array]:
    """First row and column of the window that belongs to an origin.

    Args:
      corners: shapes=(image height,), (image width,), dtype=int: tables that are known while tracing.
      origin: shapes=(), dtype=int32: row and column where the edit begins.

    Returns:
      shapes=(), dtype=int32.
    """
    row, column = (jnp.asarray(table, jnp.int32)[at] for table, at in zip(corners, origin, strict=True))
    # Looked up once for each probe: fused into what uses them, they would be looked up for each element.
    row, column = lax.optimization_barrier((row, column))
    return row, column


def window_of(
    values: Array,
    corners: tuple[np.ndarray, np.ndarray],
    origin: tuple[Array, Array],
    size: tuple[int, int],
    beyond: float | bool = 0,
) -> Array:
    """The window of a map.

    Args:
      values: shape=(1, h, w, c): the map.
      corners: shapes=(image height,), (image width,), dtype=int: first row and column for each origin.
      origin: shapes=(), dtype=int32: row and column where the edit begins.
      size: (r, s), rows and columns of the window.
      beyond: what stands where it hangs over the edge.

    Returns:
      shape=(1, r, s, c), dtype of the map.
    """
    before = [max(0, -int(table.min())) for table in corners]
    after = [max(0, int(corners[i].max()) + size[i] - values.shape[1 + i]) for i in (0, 1)]
    margins = [(0, 0, 0), (before[0], after[0], 0), (before[1], after[1], 0), (0, 0, 0)]
    padded = lax.pad(values, jnp.asarray(beyond, values.dtype), margins)
    row, column = look_up(corners, origin)
    return lax.dynamic_slice(padded, (0, row + before[0], column + before[1], 0), (1, *size, values.shape[3]))


def constant_in_window(constant: Array, edited: Edited) -> Array:
    """The window of what is the same for every probe; one value for all pixels comes back as it is.

    Args:
      constant: shape=(1, h, w, c), or one that broadcasts to it.
      edited: whose window it is.

    Returns:
      shape=(1, r, s, c), or that of the constant.
    """
    constant = jnp.asarray(constant)
    if constant.ndim != 4 or constant.shape[1:3] == (1, 1):
        return constant
    everywhere = jnp.broadcast_to(constant, (1, *edited.map_size, constant.shape[3]))  # one row may serve all rows
    return window_of(everywhere, edited.corners, edited.origin, edited.size)


def placed(change: Array, gaps: tuple[np.ndarray, np.ndarray], origin: tuple[Array, Array], size: list[int]) -> Array:
    """A change with zeros around it, cut to a size.

    Args:
      change: shape=(1, r, s, c).
      gaps: shapes=(image height,), (image width,), dtype=int: `gaps[axis][origin[axis]]` zeros stand before it.
      origin: shapes=(), dtype=int32: row and column where the edit begins.
      size: rows and columns of what is returned.
    """
    for axis in (0, 1):
        options = [int(gap) for gap in np.unique(gaps[axis])]
        gap = lax.optimization_barrier(jnp.asarray(gaps[axis], jnp.int32)[origin[axis]])
        frames = []
        for option in options:
            margins = [(0, 0, 0)] * 4
            margins[1 + axis] = (option, size[axis] - change.shape[1 + axis] - option, 0)
            frames.append(lax.pad(change, jnp.zeros((), change.dtype), margins))
        change = frames[0]
        for option, frame in zip(options[1:], frames[1:], strict=True):
            change = jnp.where(gap == option, frame, change)
    return change


def cleaned(edited: Edited) -> Edited:
    """The same, with zeros in the part of the window that lies beyond the edge of the map."""
    if edited.clean:
        return edited
    inside = []
    for axis, first in enumerate(look_up(edited.corners, edited.origin)):
        at = first + jnp.arange(edited.size[axis])
        inside.append((at >= 0) & (at < edited.map_size[axis]))
    mask = (inside[0][:, None] & inside[1][None, :])[None, :, :, None]
    return edited._replace(change=jnp.where(mask, edited.change, jnp.zeros((), edited.change.dtype)), clean=True)


def whole(edited: Edited) -> Array:
    """The changed map itself, shape (1, h, w, c)."""
    height, width = edited.map_size
    margins = [(0, 0, 0), (height, height, 0), (width, width, 0), (0, 0, 0)]
    padded = lax.pad(edited.change, jnp.zeros((), edited.change.dtype), margins)
    row, column = look_up(edited.corners, edited.origin)
    return added(edited.base, lax.dynamic_slice(padded, (0, height - row, width - column, 0), edited.base.shape))
