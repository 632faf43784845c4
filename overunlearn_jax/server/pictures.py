"""Images and labels of a request: nested numbers in [0, 1], or 8-bit ones, to the package's arrays."""

import itertools
from typing import Any

import numpy as np

from overunlearn_jax.server.refusals import invalid
from overunlearn_jax.services.pixels import OUTSIDE
from overunlearn_jax.types import DatasetSpec, Split

UNIT, UINT8 = RANGES = ("unit", "uint8")


def nested_images(spec: DatasetSpec, value: Any, pixels: str, most: int, most_code: str) -> np.ndarray:
    """Nested lists of shape (n, h, w, c) as float32 inside the bounds of `spec`.

    Raises:
      RefusedError: status 422 for another shape, for what is no number, for pixels out of range, and for more images
        than `most`.
    """
    array = _numbers(value, "images")
    height, width, channels = spec.image_shape
    if array.ndim != 4 or array.shape[1:] != spec.image_shape or len(array) == 0:
        raise invalid(
            "wrong_shape", f"images have shape {list(array.shape)}; expected [n, {height}, {width}, {channels}], n > 0"
        )
    if len(array) > most:
        raise invalid(most_code, f"{len(array)} images at once; expected at most {most}: send several requests")
    return in_bounds(spec, array, pixels)


def in_bounds(spec: DatasetSpec, array: np.ndarray, pixels: str) -> np.ndarray:
    """Pixels of the given range as float32 inside the bounds of `spec`.

    Args:
      spec: of the data set.
      array: shape=(n, h, w, c), numbers as they were sent.
      pixels: "unit", numbers in [0, 1], or "uint8", whole numbers in 0 ... 255.

    Raises:
      RefusedError: status 422, pixels out of range.
    """
    least, most = float(array.min()), float(array.max())
    if pixels == UINT8:
        if array.dtype.kind not in "iu" or least < 0 or most > 255:
            raise invalid(
                "out_of_range", f"8-bit pixels lie in {least:g} ... {most:g}; expected whole numbers in 0 ... 255"
            )
        unit = array / 255.0
    else:
        if least < -OUTSIDE or most > 1 + OUTSIDE:
            hint = ": 8-bit pixels are sent as such" if most > 1.5 else ""
            raise invalid("out_of_range", f"pixels lie in {least:g} ... {most:g}; expected 0 ... 1{hint}")
        unit = np.clip(array.astype(np.float64), 0.0, 1.0)
    lower, upper = spec.bounds
    return np.clip((unit * (upper - lower) + lower).astype(np.float32), np.float32(lower), np.float32(upper))


def class_labels(spec: DatasetSpec, value: Any, count: int, train: Split) -> np.ndarray:
    """A list of `count` class numbers as int32.

    Raises:
      RefusedError: status 422 for anything else, and for a class that the model was never trained on.
    """
    array = _numbers(value, "labels")
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise invalid(
            "wrong_labels", f"labels have shape {list(array.shape)}; expected {count} whole numbers, one each"
        )
    if array.min() < 0 or array.max() >= spec.num_classes:
        raise invalid(
            "unknown_class",
            f"labels lie in {array.min()} ... {array.max()}; expected 0 ... {spec.num_classes - 1}",
        )
    unseen = np.setdiff1d(array, train.labels)
    if len(unseen):
        raise invalid("unknown_class", f"the model was never trained on class {unseen[0]}: there is nothing to forget")
    return array.astype(np.int32)


def _numbers(value: Any, what: str) -> np.ndarray:
    wrong = invalid("no_numbers", f"{what} are no regular nested lists of numbers")
    if not isinstance(value, list):
        raise wrong
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise wrong from error
    if array.size and array.dtype.kind not in "iuf":
        raise wrong
    if any(
        issubclass(kind, bool) for kind in _kinds(value, array.ndim)
    ):  # which NumPy takes for 0 and 1 beside numbers
        raise wrong
    if array.size and not np.isfinite(array).all():  # 1e999 is JSON, and infinite
        raise wrong
    return array


def _kinds(value: Any, depth: int) -> set[type]:
    """Types of what regular nested lists hold."""
    for _ in range(depth - 1):
        value = itertools.chain.from_iterable(value)
    return set(map(type, value))


def flat_numbers(value: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Flat or nested lists as an array of that shape.

    Raises:
      RefusedError: status 422 for another number of values.
    """
    array = _numbers(value, what)
    size = int(np.prod(shape, dtype=object))
    if array.size != size or array.size == 0:
        raise invalid("wrong_shape", f"{what} hold {array.size} values; its shape {list(shape)} has {size}")
    return array.reshape(shape)
