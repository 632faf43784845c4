"""The slowest waves of an image: orthonormal directions that a smooth classifier answers most to, per query."""

import math

import numpy as np
from scipy.fft import idctn


def lowest_frequencies(image_shape: tuple[int, int, int], count: int) -> np.ndarray:
    """The first `count` directions of a 2-D cosine transform (DCT-II, orthonormal), the slowest first.

    Waves are ordered by their squared frequency in cycles a pixel, rows before columns where two are alike, and each
    comes once in every channel before the next one.

    Args:
      image_shape: (h, w, c).
      count: directions, 1 ... h * w * c.

    Returns:
      Shape (count, h, w, c), float32; each of length 1, at right angles to all others.

    Raises:
      ValueError: `count` is out of range.

    >>> lowest_frequencies((2, 2, 1), 2)[..., 0]
    array([[[ 0.5,  0.5],
            [ 0.5,  0.5]],
    <BLANKLINE>
           [[ 0.5, -0.5],
            [ 0.5, -0.5]]], dtype=float32)
    """
    height, width, channels = image_shape
    if not 1 <= count <= math.prod(image_shape):
        raise ValueError(f"{count} directions of images {image_shape}; expected 1 ... {math.prod(image_shape)}")
    squared = (np.arange(height)[:, None] / height) ** 2 + (np.arange(width)[None] / width) ** 2
    order = np.argsort(squared.ravel(), kind="stable")
    waves = order[: math.ceil(count / channels)]
    coefficients = np.zeros((len(waves), height * width), np.float64)
    coefficients[np.arange(len(waves)), waves] = 1
    images = idctn(coefficients.reshape(-1, height, width), axes=(1, 2), norm="ortho")
    colours = np.einsum("khw,cd->kchwd", images, np.eye(channels))
    return colours.reshape(-1, height, width, channels)[:count].astype(np.float32)
