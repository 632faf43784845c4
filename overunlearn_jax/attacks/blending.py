"""Blending (equation 1): some of another class mixed into the image."""

import numpy as np


def blend(images: np.ndarray, others: np.ndarray, ratio: float) -> np.ndarray:
    """(1 - ratio) * images + ratio * others.

    Args:
      images: shape=(n, h, w, c), any float dtype.
      others: shape=(n, h, w, c): images of the class to blend in.
      ratio: the paper's alpha, in [0, 1]: higher shows more of the other class; 0 returns the images, 1 the others.

    Returns:
      shape=(n, h, w, c), dtype of the images.

    Raises:
      ValueError: shapes that differ, integer images or a ratio outside [0, 1].

    References:
      Hu et al., NDSS 2024, equation (1).

    Examples:
      >>> blend(np.zeros((1, 1, 1, 1)), np.ones((1, 1, 1, 1)), 0.25).item()
      0.25
    """
    if images.shape != others.shape:
        raise ValueError(f"images have shape {images.shape} and others {others.shape}; expected one other an image")
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"images have dtype {images.dtype}; expected floats: integers would round the mixture")
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio is {ratio}; expected a blending ratio in [0, 1]")
    return ((1 - ratio) * images + ratio * others).astype(images.dtype)
