"""Where the search walks: in the box of valid images, or in arctanh space, where every point is a valid image."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from overunlearn_jax.types import Array, Bounds

# Carlini & Wagner's factor: keeps the argument of arctanh off -1 and 1 (the public code scales images in
# [-0.5, 0.5] by 1.999999).
INSIDE = 0.9999995


class Space(NamedTuple):
    """A map between a search variable and images, both of the same shape, elementwise.

    `project` brings a variable that a step took out of the space back into it.
    """

    to_image: Callable[[Array], Array]
    from_image: Callable[[Array], Array]
    project: Callable[[Array], Array]


def tanh_space(bounds: Bounds) -> Space:
    """image = middle + half * tanh(variable): unconstrained search; pixels on a bound hardly move."""
    middle, half = (bounds.upper + bounds.lower) / 2, (bounds.upper - bounds.lower) / 2

    def to_image_fn(variable: Array) -> Array:
        return jnp.clip(middle + half * jnp.tanh(variable), bounds.lower, bounds.upper)  # rounding may leave the box

    def from_image_fn(image: Array) -> Array:
        return jnp.arctanh((image - middle) / half * INSIDE)

    return Space(to_image_fn, from_image_fn, lambda variable: variable)


def box_space(bounds: Bounds) -> Space:
    """The image itself: a step that leaves the bounds ends on them, and so do the probes around it."""

    def clip_fn(variable: Array) -> Array:
        return jnp.clip(variable, bounds.lower, bounds.upper)

    return Space(clip_fn, lambda image: image, clip_fn)
