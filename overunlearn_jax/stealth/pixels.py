"""How visible a request is, and whether it outlives an image file: distance, similarity, 8-bit pixels."""

import numpy as np
from skimage.metrics import structural_similarity

from overunlearn_jax.types import Bounds

SSIM_WINDOW = 7  # pixels; scikit-image's default


def l2_distances(originals: np.ndarray, submitted: np.ndarray) -> np.ndarray:
    """Euclidean distance of each pair of images, in units of the scaled pixels.

    Args:
      originals: shape=(n, h, w, c), floats.
      submitted: shape=(n, h, w, c), floats.

    Returns:
      shape=(n,), dtype=float64.

    Raises:
      ValueError: shapes that differ.
    """
    if originals.shape != submitted.shape:
        raise ValueError(f"originals have shape {originals.shape} and submitted images {submitted.shape}")
    return np.sqrt(np.sum((submitted.astype(np.float64) - originals) ** 2, axis=(1, 2, 3)))


def ssim(originals: np.ndarray, submitted: np.ndarray, bounds: Bounds) -> np.ndarray:
    """Structural similarity of each pair of images.

    Pixels are counted from the lower bound: SSIM's luminance term takes black for 0.

    Args:
      originals: shape=(n, h, w, c), floats.
      submitted: shape=(n, h, w, c), floats.
      bounds: of the pixels.

    Returns:
      shape=(n,); 1 for equal images.

    Raises:
      ValueError: images smaller than the 7x7 window.

    References:
      Wang et al., IEEE Transactions on Image Processing, 2004.
    """
    if min(originals.shape[1:3]) < SSIM_WINDOW:
        raise ValueError(
            f"SSIM needs images of at least {SSIM_WINDOW}x{SSIM_WINDOW} pixels; got {originals.shape[1:3]}"
        )
    span = bounds.upper - bounds.lower
    return np.array(
        [
            structural_similarity(a, b, win_size=SSIM_WINDOW, data_range=span, channel_axis=-1)
            for a, b in zip(originals - bounds.lower, submitted - bounds.lower, strict=True)
        ]
    )


def label_agreement(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Fraction of the submitted labels that equal the deployed model's predictions.

    Args:
      labels: shape=(n,), integers.
      predicted: shape=(n,), integers.
    """
    return float(np.mean(labels == predicted))


def to_8_bits(images: np.ndarray, bounds: Bounds) -> np.ndarray:
    """Images as the nearest 8-bit pixels.

    Args:
      images: shape=(n, h, w, c), floats inside the bounds.
      bounds: of the pixels.

    Returns:
      The same shape, dtype=uint8.
    """
    return np.rint((images - bounds.lower) * (255 / (bounds.upper - bounds.lower))).clip(0, 255).astype(np.uint8)


def from_8_bits(pixels: np.ndarray, bounds: Bounds) -> np.ndarray:
    """8-bit pixels as images.

    Args:
      pixels: shape=(n, h, w, c), dtype=uint8.
      bounds: of the images.

    Returns:
      The same shape, dtype=float32, inside the bounds.
    """
    return (pixels.astype(np.float32) / np.float32(255)) * (bounds.upper - bounds.lower) + np.float32(bounds.lower)
