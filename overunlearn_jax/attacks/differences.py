"""How a coordinate's derivatives are estimated from the loss of probes: what is asked, and what the answers say."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax.numpy as jnp

from overunlearn_jax.types import Array, Bounds


class Differences(NamedTuple):
    """Two pure functions of one sample's p coordinates.

    `offsets(pixels)` takes the blocks of the iterate, shape (p, b, b), and gives what each probe adds to the search
    variable there, shape (p, s): s probes a coordinate. `estimate(changes, offsets)` takes the loss of each probe less
    that of the iterate, shape (p, s), and gives the first and second derivatives, each of shape (p,).
    """

    probes: int  # s
    offsets: Callable[[Array], Array]
    estimate: Callable[[Array, Array], tuple[Array, Array]]


def central(h: float) -> Differences:
    """A probe on each side of the iterate: Chen et al., "ZOO" (2017), equations 6 and 7. Exact for parabolas."""

    def offsets_fn(pixels: Array) -> Array:
        return jnp.broadcast_to(jnp.array([h, -h]), (len(pixels), 2))

    def estimate_fn(changes: Array, offsets: Array) -> tuple[Array, Array]:
        del offsets  # Unused: h on both sides.
        chex.assert_shape(changes, (None, 2))
        return (changes[:, 0] - changes[:, 1]) / (2 * h), (changes[:, 0] + changes[:, 1]) / h**2

    return Differences(2, offsets_fn, estimate_fn)


def one_sided(h: float, bounds: Bounds) -> Differences:
    """One probe, towards the middle of the pixel range, beside the iterate that is asked anyway: half of the queries.

    The error of the first derivative is h / 2 times the second, which is not estimated and given as 0.
    """
    middle = (bounds.lower + bounds.upper) / 2

    def offsets_fn(pixels: Array) -> Array:
        chex.assert_rank(pixels, 3)
        return jnp.where(pixels.mean((1, 2)) > middle, -h, h)[:, None]

    def estimate_fn(changes: Array, offsets: Array) -> tuple[Array, Array]:
        chex.assert_shape([changes, offsets], (len(changes), 1))
        first = changes[:, 0] / offsets[:, 0]
        return first, jnp.zeros_like(first)

    return Differences(1, offsets_fn, estimate_fn)
