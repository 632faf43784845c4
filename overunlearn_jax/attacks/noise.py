"""The control of every push: a random direction of the same length."""

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.types import Array, Bounds, Images, Key

BISECTIONS = 40  # halvings of the scale: float32 has no finer one


def noise_of_length(key: Key, images: Images, lengths: Array | np.ndarray, bounds: Bounds) -> Images:
    """Images plus Gaussian noise, inside the bounds, each at a given L2 distance from its original.

    Clipping to the bounds shortens noise, so the scale is found by bisection. A length that no image inside the bounds
    can have in that direction gives the farthest one.

    Args:
      key: of all images.
      images: shape=(n, h, w, c), dtype=float32.
      lengths: shape=(n,), L2 distances in units of the pixels.
      bounds: that the images live in.

    Returns:
      shape=(n, h, w, c), dtype=float32.

    Raises:
      ValueError: not one length an image.
    """
    if np.shape(lengths) != (len(images),):
        raise ValueError(f"lengths have shape {np.shape(lengths)}; expected one for each of {len(images)} images")
    keys = jax.random.split(key, len(images))
    return _noise(keys, jnp.asarray(images), jnp.asarray(lengths, jnp.float32), bounds.lower, bounds.upper)


@jax.jit
def _noise(keys: Key, images: Array, lengths: Array, lower: float, upper: float) -> Array:
    def one(key: Key, image: Array, length: Array) -> Array:
        direction = jax.random.normal(key, image.shape)

        def at(scale: Array) -> Array:
            return jnp.clip(image + scale * direction, lower, upper)

        def halve(_: int, interval: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = interval
            middle = (low + high) / 2
            short = jnp.sqrt(jnp.sum((at(middle) - image) ** 2)) < length
            return jnp.where(short, middle, low), jnp.where(short, high, middle)

        widest = jnp.asarray(100 * (upper - lower), jnp.float32)
        _, scale = jax.lax.fori_loop(0, BISECTIONS, halve, (jnp.float32(0), widest))
        return at(scale)

    return jax.vmap(one)(keys, images, lengths)
