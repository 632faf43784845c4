"""Whether an array holds pixels as every part of this package takes them: floats, finite, inside the bounds."""

import jax.numpy as jnp
import numpy as np

from overunlearn_jax.types import Bounds, Images


def check_pixels(whose: str, images: Images, bounds: Bounds | None = None) -> np.ndarray:
    """`images` as a NumPy array of any float dtype.

    Args:
      whose: what to call them in an error, in the plural: "images", "the request's images".
      images: at least one, any shape.
      bounds: of the pixels, rounded to float32; None where they are not known.

    Raises:
      ValueError: no image, integers (8-bit pixels are some), NaN or infinity, or a pixel outside the bounds.

    Examples:
      >>> check_pixels("images", np.zeros((1, 2, 2, 1))).shape
      (1, 2, 2, 1)
    """
    array = np.asarray(images)
    if array.size == 0:
        raise ValueError(f"{whose} have shape {array.shape}; expected at least one image")
    expected = "floats inside the data set's bounds" if bounds is None else f"floats in [{bounds[0]}, {bounds[1]}]"
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{whose} have dtype {array.dtype}; expected {expected}: {advice_on_8_bits(bounds)}")
    low, high = float(array.min()), float(array.max())  # NaN where there is one
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"{whose} hold NaN or infinity; expected {expected}")
    if bounds is not None and not (np.float32(bounds.lower) <= low and high <= np.float32(bounds.upper)):
        raise ValueError(f"{whose} lie in [{low:g}, {high:g}]; expected {expected}: scale or clip them first")
    return array


def advice_on_8_bits(bounds: Bounds | None = None) -> str:
    """How pixels in 0 ... 255 come into the bounds; into those of what `load` returns, where none are given.

    Examples:
      >>> advice_on_8_bits(Bounds(0.0, 1.0))
      '8-bit pixels become those by x / 255'
    """
    lower, upper = (-0.5, 0.5) if bounds is None else bounds
    width = "" if upper - lower == 1 else f" * {upper - lower:g}"
    begin = "" if lower == 0 else f" {'-' if lower < 0 else '+'} {abs(lower):g}"
    return f"8-bit pixels become those by x / 255{width}{begin}"
