"""Where the search walks: in the box of valid images, or in arctanh space, where every point is a valid image."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from overunlearn_jax.types import Array, Bounds

# Carlini & Wagner's factor: keeps the argument of arctanh off -1 and 1 (the public code scales images in
# [-0.5, 0.5] by 1.999999).
INSIDE = 0.9999995


class Space(NamedTuple):
    """A map between a search variable and images, both of the same shape, elementwise.

    `project` brings a variable that a step took out of the space back into it. `around(variable, image)` is what probes
    are changes of.
    """

    to_image: Callable[[Array], Array]
    from_image: Callable[[Array], Array]
    project: Callable[[Array], Array]
    around: Callable[[Array, Array], Array]


def tanh_space(bounds: Bounds) -> Space:
    """image = middle + half * tanh(variable): unconstrained search; pixels on a bound hardly move."""
    middle, half = (bounds.upper + bounds.lower) / 2, (bounds.upper - bounds.lower) / 2

    def to_image_fn(variable: Array) -> Array:
        return jnp.clip(middle + half * jnp.tanh(variable), bounds.lower, bounds.upper)  # rounding may leave the box

    def from_image_fn(image: Array) -> Array:
        return jnp.arctanh((image - middle) / half * INSIDE)

    return Space(to_image_fn, from_image_fn, lambda variable: variable, lambda variable, image: variable)


def box_space(bounds: Bounds) -> Space:
    """The image itself: a step that leaves the bounds ends on them, and so do the probes around it."""

    def clip_fn(variable: Array) -> Array:
        return jnp.clip(variable, bounds.lower, bounds.upper)

    return Space(clip_fn, lambda image: image, clip_fn, lambda variable, image: variable)


def lattice_space(bounds: Bounds, levels: int) -> Space:
    """Images on `levels` steps between the bounds; 255: exactly those that 8-bit pixels give.

    The variable is anywhere in the box, so that moves of less than a step add up; its image is the nearest one on the
    lattice, and probes are changes of that image.
    """
    steps = np.arange(levels + 1, dtype=np.float32) / np.float32(levels)
    values = steps * (bounds.upper - bounds.lower) + np.float32(bounds.lower)  # as `stealth.pixels.from_8_bits` has it

    def clip_fn(variable: Array) -> Array:
        return jnp.clip(variable, bounds.lower, bounds.upper)

    def to_image_fn(variable: Array) -> Array:
        places = jnp.rint((clip_fn(variable) - bounds.lower) * (levels / (bounds.upper - bounds.lower)))
        return jnp.asarray(values)[places.astype(jnp.int32)]

    return Space(to_image_fn, lambda image: image, clip_fn, lambda variable, image: image)


def on_lattice(images: np.ndarray, bounds: Bounds, levels: int) -> np.ndarray:
    """The nearest images on the lattice, on the host; as they are without levels.

    Args:
      images: shape=(n, h, w, c), dtype=float32, inside the bounds.
      bounds: the lattice's first and last value.
      levels: steps between them, 255 for 8 bits; 0: no lattice.

    Returns:
      shape=(n, h, w, c), dtype=float32.
    """
    if not levels:
        return images
    places = np.rint((np.asarray(images, np.float32) - bounds.lower) * (levels / (bounds.upper - bounds.lower)))
    steps = places.clip(0, levels).astype(np.float32) / np.float32(levels)
    return (steps * (bounds.upper - bounds.lower) + np.float32(bounds.lower)).astype(np.float32)
