"""Which training samples a request means: for each submitted image the nearest training image.

An exact service deletes training samples, and a request may hold perturbed copies of them under any label.
"""

from typing import NamedTuple

import numpy as np

from overunlearn_jax.types import Images, Split

_IMAGES, _TRAIN = 1024, 2048  # in one product; distances computed in float64 take up to _TRAIN images at a time
_LARGEST = 1e37  # of a sum of squares: the products are float32


class Matches(NamedTuple):
    """The training sample behind each submitted image."""

    rows: np.ndarray  # shape=(n,), dtype=int64: position in the training split; -1 where the nearest is too far
    distances: np.ndarray  # shape=(n,), dtype=float32: L2 to the nearest training image, however far it is


def match_samples(images: Images, train: Split, *, most_l2: float = float("inf")) -> Matches:
    """The nearest training image by L2 for each image; the first row among equally near ones.

    The answer is that of a search in float64: matrix products in float32 rule out the images that cannot be the
    nearest whatever their rounding, and the few that are left are measured pixel by pixel. An exact copy is at
    distance 0. Several images may have the same row. Labels are not looked at: a request may change them. To search
    among the samples of one label, pass that part of the split; rows then count within it.

    Memory is bounded: beside the inputs, a few blocks of some 50 MB for images of 32x32x3. 2,000 images against
    40,000 of that size take some ten seconds on two CPU cores.

    Args:
      images: shape=(n, h, w, c), dtype=float32: what is submitted.
      train: the images to search among.
      most_l2: the distance beyond which there is no match, in units of the pixels.

    Returns:
      A row and a distance for each image.

    Raises:
      ValueError: images of another shape than those of `train`, an empty `train`, pixels that are not finite or beyond
        float32 when squared, and a `most_l2` below 0.
    """
    if not most_l2 >= 0:  # true for NaN, too
        raise ValueError(f"most_l2 is {most_l2}; expected a distance of at least 0, or infinity to accept any")
    images = np.asarray(images, np.float32)
    if images.ndim != 4 or images.shape[1:] != train.images.shape[1:] or len(train.images) == 0:
        raise ValueError(
            f"images have shape {images.shape}, the training images {train.images.shape}; expected (n, h, w, c) with "
            "the same h, w, c, and at least one training image"
        )
    pixels = int(np.prod(images.shape[1:]))
    submitted = images.reshape(-1, pixels)
    held = np.asarray(train.images, np.float32).reshape(-1, pixels)
    submitted_squares, held_squares = _squares(submitted, "submitted"), _squares(held, "training")
    rows, nearest = np.full(len(images), -1, np.int64), np.full(len(images), np.inf)
    for start in range(0, len(images), _IMAGES):
        some = slice(start, start + _IMAGES)
        for first in range(0, len(held), _TRAIN):
            block = slice(first, first + _TRAIN)
            possible = _possible(
                submitted[some], submitted_squares[some], held[block], held_squares[block], nearest[some]
            )
            for index in np.flatnonzero(possible.any(axis=1)):
                candidates = first + np.flatnonzero(possible[index])
                differences = held[candidates].astype(np.float64) - submitted[start + index]
                distances = np.square(differences).sum(axis=1)
                best = distances.argmin()
                if distances[best] < nearest[start + index]:
                    rows[start + index], nearest[start + index] = candidates[best], distances[best]
    l2 = np.sqrt(nearest)
    return Matches(np.where(l2 <= most_l2, rows, -1), l2.astype(np.float32))


def without(split: Split, rows: np.ndarray) -> Split:
    """What is left of a split when some samples are deleted, in the old order, as a copy.

    Args:
      split: n samples.
      rows: shape=(m,), integers in 0 ... n - 1: positions to delete; one may occur more than once.

    Raises:
      ValueError: a position out of range, such as the -1 that `match_samples` gives for an image without a match.
    """
    rows = check_rows(rows, len(split.labels))
    return Split(*(np.delete(part, rows, axis=0) for part in split))


def check_rows(rows: np.ndarray, count: int) -> np.ndarray:
    """Positions sorted, each once.

    Args:
      rows: shape=(m,), integers in 0 ... count - 1.
      count: of the samples.

    Returns:
      shape=(at most m,), dtype=int64.

    Raises:
      ValueError: another shape or dtype, or a position out of range.
    """
    rows = np.asarray(rows)
    if rows.size == 0:
        return np.zeros(0, np.int64)
    if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer) or rows.min() < 0 or rows.max() >= count:
        raise ValueError(
            f"rows are {rows.dtype} of shape {rows.shape} in {rows.min()} ... {rows.max()}; expected a vector of "
            f"integers in 0 ... {count - 1}: leave out the -1 of images without a match, rows[rows >= 0]"
        )
    return np.unique(rows).astype(np.int64)


def _squares(flat: np.ndarray, which: str) -> np.ndarray:
    """|x|^2 of each row, in float64."""
    squares = np.einsum("ij,ij->i", flat, flat, dtype=np.float64)
    if not (squares < _LARGEST).all():  # false for NaN, too
        raise ValueError(f"the {which} images hold NaN, infinity or numbers too large; expected pixels in bounds")
    return squares


def _possible(
    images: np.ndarray, image_squares: np.ndarray, others: np.ndarray, other_squares: np.ndarray, nearest: np.ndarray
) -> np.ndarray:
    """Where (i, j) a squared distance may be the least in its row and less than or equal to `nearest` (i,).

    In float32, |x|^2 - 2xy + |y|^2 is off by at most (p + 8) u (|x|^2 + |y|^2) for p pixels, u being half an epsilon
    (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1).
    """
    squares = images @ others.T
    squares *= -2
    squares += other_squares.astype(np.float32)
    squares += image_squares.astype(np.float32)[:, None]
    unit = np.finfo(np.float32).eps / 2
    error = (images.shape[1] + 8) * unit * (image_squares + other_squares.max())
    most = np.minimum(nearest, squares.min(axis=1) + error) + error
    return squares <= np.nextafter(most.astype(np.float32), np.float32(np.inf))[:, None]
