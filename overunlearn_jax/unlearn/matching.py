"""Which training samples a request means: for each submitted image the nearest training image.

An exact service deletes training samples, and a request may hold perturbed copies of them under any label.
"""

import itertools
from typing import NamedTuple

import numpy as np

from overunlearn_jax.types import Images, Split

_IMAGES, _TRAIN = 256, 1024  # submitted images in one product; training images that are averaged at a time
_SIDE = 4  # of the squares of pixels that are averaged
_FIRST = 32  # candidates that are measured before the others, the likeliest: most rule out all others
_LARGEST = 1e37  # of a sum of squares: the products are float32


class Matches(NamedTuple):
    """The training sample behind each submitted image."""

    rows: np.ndarray  # shape=(n,), dtype=int64: position in the training split; -1 where the nearest is too far
    distances: np.ndarray  # shape=(n,), dtype=float32: L2 to the nearest training image, however far it is


class Searchable(NamedTuple):
    """Training images made ready to be searched, see `searchable`."""

    shape: tuple[int, ...]  # (h, w, c)
    pixels: np.ndarray  # shape=(m, p), dtype=float32
    averages: np.ndarray  # shape=(m, q), dtype=float32: of squares of pixels, see `_averages`
    average_squares: np.ndarray  # shape=(m,), dtype=float64: their sums of squares
    largest: float  # sum of squares of an image


def searchable(train: Split) -> Searchable:
    """What a search among these images needs and no request changes, to be found once for many of `match_samples`.

    Memory: a sixteenth of that of the images, which are not copied; a few tenths of a second for 40,000 of 32x32x3.

    Raises:
      ValueError: an empty `train`, pixels that are not finite or beyond float32 when squared.
    """
    images = np.asarray(train.images, np.float32)
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(f"training images have shape {images.shape}; expected (m, h, w, c), and at least one of them")
    pixels = images.reshape(len(images), -1)
    squares = _squares(pixels, "training")
    averages = _averages(images)
    return Searchable(images.shape[1:], pixels, averages, _squares(averages, "training"), float(squares.max()))


def match_samples(images: Images, train: Split | Searchable, *, most_l2: float = float("inf")) -> Matches:
    """The nearest training image by L2 for each image; the first row among equally near ones.

    The answer is that of a search in float64 over all pixels. Averages of 4x4 pixels lie no further apart than the
    images do, so that they rule out nearly all candidates, whatever float32 makes of them; the few that are left are
    measured pixel by pixel. An exact copy is at distance 0. Several images may have the same row. Labels are not looked
    at: a request may change them. To search among the samples of one label, pass that part of the split; rows then
    count within it.

    Memory is bounded: beside the inputs, a few blocks of some 50 MB. 400 perturbed images against 40,000 of 32x32x3
    take half a second on two CPU cores, blended ones about one.

    Args:
      images: shape=(n, h, w, c), dtype=float32: what is submitted.
      train: the images to search among; `searchable(train)` for several requests.
      most_l2: the distance beyond which there is no match, in units of the pixels.

    Returns:
      A row and a distance for each image.

    Raises:
      ValueError: images of another shape than those of `train`, an empty `train`, pixels that are not finite or beyond
        float32 when squared, and a `most_l2` below 0.
    """
    if not most_l2 >= 0:  # true for NaN, too
        raise ValueError(f"most_l2 is {most_l2}; expected a distance of at least 0, or infinity to accept any")
    held = train if isinstance(train, Searchable) else searchable(train)
    images = np.asarray(images, np.float32)
    if images.ndim != 4 or images.shape[1:] != held.shape:
        raise ValueError(
            f"images have shape {images.shape}, the training images (m, {', '.join(map(str, held.shape))}); expected "
            "(n, h, w, c) with the same h, w, c"
        )
    submitted = images.reshape(len(images), held.pixels.shape[1])
    squares = _squares(submitted, "submitted")
    rows, nearest = np.empty(len(images), np.int64), np.empty(len(images))
    for start in range(0, len(images), _IMAGES):
        some = slice(start, start + _IMAGES)
        lower = _at_least(_averages(images[some]), squares[some], held)
        for index, at_least in zip(itertools.count(start), lower, strict=False):
            rows[index], nearest[index] = _nearest(submitted[index], at_least, held.pixels)
    l2 = np.sqrt(nearest)
    return Matches(np.where(l2 <= most_l2, rows, -1), l2.astype(np.float32))


class NearestRows:
    """`match_samples` in what a service still holds; its whole training data is made ready once, when first asked."""

    def __init__(self, train: Split | None):
        self._train = train
        self._ready: Searchable | None = None

    def __call__(self, images: Images, held: Split) -> np.ndarray:
        """Rows of `held`, shape=(n,), dtype=int64. Raises ValueError as `match_samples` does."""
        if held is not self._train:
            return match_samples(images, held).rows
        self._ready = self._ready or searchable(held)
        return match_samples(images, self._ready).rows


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


def _averages(images: np.ndarray) -> np.ndarray:
    """Orthonormal averages of squares of pixels, channel by channel: sums over the root of the number of pixels.

    A projection, so that two images' averages are no further apart than the images are. Squares at the right and lower
    edges may be smaller.
    """
    height, width = images.shape[1:3]
    tops, lefts = np.arange(0, height, _SIDE), np.arange(0, width, _SIDE)
    counts = np.diff(tops, append=height)[:, None] * np.diff(lefts, append=width)
    scale = (1 / np.sqrt(counts)).astype(np.float32)[..., None]
    found = [np.zeros((0, counts.size * images.shape[3]), np.float32)]
    for start in range(0, len(images), _TRAIN):
        sums = np.add.reduceat(images[start : start + _TRAIN], tops, axis=1)
        found.append((np.add.reduceat(sums, lefts, axis=2) * scale).reshape(len(sums), -1))
    return np.concatenate(found)


def _at_least(averages: np.ndarray, squares: np.ndarray, held: Searchable) -> np.ndarray:
    """Squared distances that are surely not larger than those of the images, shape=(n, m), dtype=float32.

    In float32, |x|^2 - 2xy + |y|^2 is off by at most (q + 8) u (|x|^2 + |y|^2) for q averages, u being half an epsilon
    (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1). An average of k pixels is off by at most
    (k + 2) u times the root of their squares' sum, which moves a squared distance by 8 (k + 2) u (|x|^2 + |y|^2) at
    most.
    """
    found = averages @ held.averages.T
    found *= -2
    found += held.average_squares.astype(np.float32)
    found += _squares(averages, "submitted").astype(np.float32)[:, None]
    unit = np.finfo(np.float32).eps / 2
    error = (averages.shape[1] + 8 + 8 * (_SIDE**2 + 2)) * unit * (squares + held.largest)
    found -= np.nextafter(error.astype(np.float32), np.float32(np.inf))[:, None]
    return np.nextafter(found, np.float32(-np.inf), out=found)


def _nearest(image: np.ndarray, at_least: np.ndarray, pixels: np.ndarray) -> tuple[int, float]:
    """The first of the nearest rows of `pixels`, and its squared distance in float64."""
    likeliest = np.argpartition(at_least, min(_FIRST, len(at_least)) - 1)[:_FIRST]
    best = _measured(image, np.sort(likeliest), pixels)
    left = np.flatnonzero(at_least <= best[1])
    return min(best, _measured(image, left, pixels), key=lambda each: (each[1], each[0])) if len(left) else best


def _measured(image: np.ndarray, candidates: np.ndarray, pixels: np.ndarray) -> tuple[int, float]:
    """The first of the nearest among some rows, which are in ascending order."""
    rows, nearest = -1, np.inf
    for start in range(0, len(candidates), _TRAIN):
        some = candidates[start : start + _TRAIN]
        distances = np.square(pixels[some].astype(np.float64) - image).sum(axis=1)
        best = int(distances.argmin())
        if distances[best] < nearest:
            rows, nearest = int(some[best]), float(distances[best])
    return rows, nearest
