"""How honest people's samples arrive: not as the training data held them, but stored anew.

A gate's price is the share of these that it refuses, the benign rejection rate.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, features

from overunlearn_jax.pixels import check_pixels
from overunlearn_jax.stealth.pixels import from_8_bits, to_8_bits
from overunlearn_jax.types import Bounds, Images

BRIGHTER = 1.02
Change = Callable[[np.ndarray], np.ndarray]  # 8-bit pixels (h, w, c) to such of the same shape


def re_encoded(images: Images, bounds: Bounds, how: str) -> np.ndarray:
    """Images as they come back from a file or an edit that nobody sees.

    Args:
      images: shape=(n, h, w, c), floats inside the bounds; c is 1 or 3.
      bounds: of the pixels.
      how: one of RE_ENCODINGS: "png" (rounded to 8 bits, no other loss), "jpeg95", "jpeg75" and "webp" (at Pillow's
        defaults but for the quality), "resized" (to half the size and back, bicubic), "cropped" (by one pixel a side,
        which then repeats its neighbour), "brighter" (by 2 %).

    Returns:
      shape=(n, h, w, c), dtype=float32: 8-bit pixels in the bounds.

    Raises:
      ValueError: other images, another `how`, images of less than 3 pixels a side to crop, or a Pillow without WebP.

    >>> re_encoded(np.full((1, 4, 4, 1), 0.5), Bounds(0.0, 1.0), "brighter")[0, 0, 0, 0] * 255
    np.float32(131.0)
    """
    if how not in RE_ENCODINGS:
        raise ValueError(f"how is {how!r}; expected one of {', '.join(RE_ENCODINGS)}")
    return _changed(images, bounds, RE_ENCODINGS[how])


def jpeg_encoded(images: Images, bounds: Bounds, quality: int) -> np.ndarray:
    """`re_encoded` as JPEG of any quality.

    Args:
      images: shape=(n, h, w, c), floats inside the bounds; c is 1 or 3.
      bounds: of the pixels.
      quality: 1 ... 100.

    Returns:
      shape=(n, h, w, c), dtype=float32.

    Raises:
      ValueError: another quality, or other images.
    """
    if not 1 <= quality <= 100:
        raise ValueError(f"the JPEG quality is {quality}; expected 1 ... 100")
    return _changed(images, bounds, _file("JPEG", quality))


def _changed(images: Images, bounds: Bounds, change: Change) -> np.ndarray:
    array = check_pixels("images", images, bounds)
    if array.ndim != 4 or array.shape[-1] not in (1, 3):
        raise ValueError(f"images have shape {array.shape}; expected (n, h, w, c) with 1 or 3 channels c")
    return from_8_bits(np.stack([change(each) for each in to_8_bits(array, bounds)]), bounds)


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])


def _pixels(picture: Image.Image, channels: int) -> np.ndarray:
    array = np.asarray(picture.convert("RGB" if channels == 3 else "L"))
    return array.reshape(*array.shape[:2], channels)


def _file(form: str, quality: int) -> Change:
    """Through a file in memory."""

    def change(pixels: np.ndarray) -> np.ndarray:
        if form == "WEBP" and not features.check("webp"):
            raise ValueError("this Pillow writes no WebP: install one that does, or leave webp out")
        file = io.BytesIO()
        _picture(pixels).save(file, form, quality=quality)
        return _pixels(Image.open(file), pixels.shape[-1])

    return change


def _png(pixels: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    _picture(pixels).save(file, "PNG")
    return _pixels(Image.open(file), pixels.shape[-1])


def _resized(pixels: np.ndarray) -> np.ndarray:
    height, width, channels = pixels.shape
    half = _picture(pixels).resize((max(1, width // 2), max(1, height // 2)), Image.Resampling.BICUBIC)
    return _pixels(half.resize((width, height), Image.Resampling.BICUBIC), channels)


def _cropped(pixels: np.ndarray) -> np.ndarray:
    if min(pixels.shape[:2]) < 3:
        raise ValueError(f"images of {pixels.shape[0]}x{pixels.shape[1]} pixels cannot lose one on each side")
    return np.pad(pixels[1:-1, 1:-1], ((1, 1), (1, 1), (0, 0)), mode="edge")


def _brighter(pixels: np.ndarray) -> np.ndarray:
    return np.rint(pixels * BRIGHTER).clip(0, 255).astype(np.uint8)


RE_ENCODINGS: dict[str, Change] = {
    "png": _png,
    "jpeg95": _file("JPEG", 95),
    "jpeg75": _file("JPEG", 75),
    "webp": _file("WEBP", 80),
    "resized": _resized,
    "cropped": _cropped,
    "brighter": _brighter,
}
