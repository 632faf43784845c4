"""Perceptual hashes: what looks like an image that the model was trained on, though it was stored anew.

`perceptual_hashes` is pHash (Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010; Klinger
and Starkweather's phash.org), bit for bit that of the Python package imagehash: in grey, four times as many pixels a
side as there are bits, the lowest frequencies of the cosine transform, each compared with their median. Anyone who has
the hashes can look for an image among them, and see roughly what the images show. `keyed_hashes` take their bits from
secret random directions instead.
"""

import hashlib
import math

import numpy as np
from PIL import Image
from scipy.fft import dct
from scipy.special import ndtri

from overunlearn_jax.pixels import check_pixels
from overunlearn_jax.stealth.pixels import to_8_bits
from overunlearn_jax.types import Bounds, Images

_PER_BIT = 4  # pixels a side for each bit a side
_FRACTION = 6  # decimals of a coefficient that count, so that a flat image is flat; the pixels are whole numbers
_BATCH = 1024  # images whose coefficients are computed at a time; changes no result


def perceptual_hashes(images: Images, bounds: Bounds, *, bits: int = 256) -> np.ndarray:
    """The pHash of each image.

    Args:
      images: shape=(n, h, w, c), floats inside the bounds; colours are red, green, blue where c is 3, and averaged
        where it is neither 3 nor 1.
      bounds: of the pixels.
      bits: a square number times 64: 64, 256, 576, ...

    Returns:
      shape=(n, bits / 64), dtype=uint64.

    Raises:
      ValueError: other images, other bits.

    >>> perceptual_hashes(np.zeros((3, 8, 8, 1)), Bounds(0.0, 1.0), bits=64).shape
    (3, 1)
    """
    low = _low_frequencies(images, bounds, bits_a_side(bits)).reshape(len(images), -1)
    return _packed(low > np.median(low, axis=1, keepdims=True))


def keyed_hashes(images: Images, bounds: Bounds, *, secret: bytes, bits: int = 256) -> np.ndarray:
    """A hash of the signs of the low frequencies' projections on random directions that only `secret` tells.

    Two images differ in about bits * angle / pi bits, the angle being that between the square roots, with their signs,
    of their low frequencies without the mean (Charikar, Similarity Estimation Techniques from Rounding Algorithms, STOC
    2002); without the root the few largest would decide alone. The directions are Gaussian, made of SHAKE-256 of the
    secret. Whoever has hashes alone learns which images are alike, and no image; whoever may
    ask the server about images of their own learns it from the answers, with a key as without.

    Args:
      images: shape=(n, h, w, c), as in `perceptual_hashes`.
      bounds: of the pixels.
      secret: at least a byte; `secrets.token_bytes(32)` makes one.
      bits: as in `perceptual_hashes`.

    Returns:
      shape=(n, bits / 64), dtype=uint64.

    Raises:
      ValueError: as `perceptual_hashes`, and for an empty secret.
    """
    if not secret:
        raise ValueError("the secret is empty; expected some bytes, as of secrets.token_bytes(32)")
    compressed = low_frequencies(images, bounds, bits=bits)
    stream = hashlib.shake_256(b"keyed perceptual hash:" + secret).digest(8 * compressed.shape[1] * bits)
    uniform = (np.frombuffer(stream, "<u8") >> np.uint64(12)).astype(np.float64) / 2**52 + 2**-53
    return _packed(compressed @ ndtri(uniform).reshape(compressed.shape[1], bits) > 0)


def low_frequencies(images: Images, bounds: Bounds, *, bits: int = 256) -> np.ndarray:
    """What keyed hashes project: square roots, with their signs, of the lowest frequencies without the mean.

    Args:
      images: shape=(n, h, w, c), as in `perceptual_hashes`.
      bounds: of the pixels.
      bits: as in `perceptual_hashes`.

    Returns:
      shape=(n, bits - 1), dtype=float64.

    Raises:
      ValueError: as `perceptual_hashes`.
    """
    low = _low_frequencies(images, bounds, bits_a_side(bits)).reshape(len(images), -1)[:, 1:]
    return np.sign(low) * np.sqrt(np.abs(low))


def bits_a_side(bits: int) -> int:
    """How many low frequencies a side a hash of so many bits has. Raises ValueError for a number that none has."""
    side = math.isqrt(max(int(bits), 0))
    if bits <= 0 or side * side != bits or side % 8:
        raise ValueError(f"bits is {bits}; expected 64, 256, 576 or another multiple of 8, squared")
    return side


def _low_frequencies(images: Images, bounds: Bounds, side: int) -> np.ndarray:
    """The lowest side x side coefficients of the cosine transform of each image in grey; shape (n, side, side)."""
    array = check_pixels("images", images, bounds)
    if array.ndim != 4:
        raise ValueError(f"images have shape {array.shape}; expected (n, h, w, c)")
    pixels = to_8_bits(array if array.shape[-1] in (1, 3) else array.mean(-1, keepdims=True), bounds)
    size = _PER_BIT * side
    transform = dct(np.eye(size), axis=0)[:side]  # of a column, shape (side, size)
    parts = []
    for start in range(0, len(pixels), _BATCH):
        grey = np.stack([_grey(each, size) for each in pixels[start : start + _BATCH]]).astype(np.float64)
        parts.append(np.round(transform @ grey @ transform.T, _FRACTION))
    return np.concatenate(parts)


def _grey(pixels: np.ndarray, size: int) -> np.ndarray:
    image = Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])
    return np.asarray(image.convert("L").resize((size, size), Image.Resampling.LANCZOS))


def _packed(bits: np.ndarray) -> np.ndarray:
    """Booleans (n, b) in words of 64; the order of bits is of no matter to distances."""
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64)


def as_bits(hashes: np.ndarray) -> np.ndarray:
    """Hashes as booleans, in the order in which imagehash has them.

    Args:
      hashes: shape=(n, w), dtype=uint64.

    Returns:
      shape=(n, 64 w), dtype=bool.

    >>> as_bits(np.array([[1]], np.uint64))[0, -1]
    np.True_
    """
    array = np.asarray(hashes, np.uint64)
    return np.unpackbits(array.astype(">u8").view(np.uint8), axis=1).astype(bool)
