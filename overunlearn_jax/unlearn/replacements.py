"""The irrelevant image x~ that first-order unlearning puts in place of a submitted one (equation 12)."""

import jax
import jax.numpy as jnp

from overunlearn_jax.types import Bounds, Images, Key

REPLACEMENTS = ("none", "noise", "one_noise", "black", "white")


def replacement_images(name: str, key: Key, images: Images, bounds: Bounds) -> Images | None:
    """Images to put in the place of others.

    Args:
      name: `noise` draws uniform noise for each sample, `one_noise` one such image for all, `black` and `white` are the
        bounds; `none` is None: nothing is put in their place (pure ascent).
      key: of the noise.
      images: shape=(n, h, w, c), dtype=float32: only the shape is looked at.
      bounds: of the pixels.

    Returns:
      shape=(n, h, w, c), dtype=float32, or None.

    Raises:
      ValueError: another name.
    """
    shape = images.shape
    match name:
        case "noise":
            return jax.random.uniform(key, shape, minval=bounds.lower, maxval=bounds.upper)
        case "one_noise":
            one = jax.random.uniform(key, shape[1:], minval=bounds.lower, maxval=bounds.upper)
            return jnp.broadcast_to(one, shape)
        case "white":
            return jnp.full(shape, bounds.upper)
        case "black":
            return jnp.full(shape, bounds.lower)
        case "none":
            return None
    raise ValueError(f"replacement is {name!r}; expected one of {', '.join(REPLACEMENTS)}")
