"""What every reader returns, and the checks that all of them share."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from overunlearn_jax.labels import advice_on_range, check_labels


class Part(NamedTuple):
    """One part of a source, in the source's own order."""

    images: np.ndarray  # shape=(n, h, w, c), dtype=uint8 in 0..255, or float in [0, 1]
    labels: np.ndarray  # shape=(n,), any integer dtype, 0 <= label < k


class Source(NamedTuple):
    """A data set as it was found, before it is scaled and split."""

    name: str
    class_names: tuple[str, ...]  # length k, position = label
    train: Part
    test: Part | None  # None: the source has no test part, one is held out from `train`
    origin: str  # what to call it in an error message: a path, or the name it was asked by


def check_source(source: Source) -> None:
    """Raises ValueError if the arrays of a source are not a usable data set, and says which one and why."""
    names = source.class_names
    duplicates = sorted(name for name, times in Counter(names).items() if times > 1)
    if duplicates:
        raise ValueError(f"{source.origin}: class names must differ, but {duplicates[:20]} occur more than once.")
    _check_part(source.train, len(names), f"{source.origin}, training part")
    counts = np.bincount(source.train.labels.astype(np.int64), minlength=len(names))
    empty = [names[label] for label in np.flatnonzero(counts == 0)]
    if empty:
        lowest, highest = int(source.train.labels.min()), int(source.train.labels.max())
        raise ValueError(
            f"{source.origin}, training part: no image of class(es) {empty[:20]}, expected at least one of each of "
            f"the {len(names)} classes. Labels lie in {lowest} ... {highest}: "
            f"{advice_on_range(lowest, highest, len(names))}; and leave out the names of classes without an image."
        )
    if source.test is None:
        return
    _check_part(source.test, len(names), f"{source.origin}, test part")
    if source.test.images.shape[1:] != source.train.images.shape[1:]:
        raise ValueError(
            f"{source.origin}: training images have shape {source.train.images.shape[1:]} and test images "
            f"{source.test.images.shape[1:]}, expected the same. Resize one of them; of a TFDS set, --image_size=SIDE "
            "(image_size=SIDE in Python) gives both one size."
        )


def _check_part(part: Part, num_classes: int, where: str) -> None:
    _check_images(part.images, where)
    check_labels(f"{where}: labels", part.labels, len(part.images), num_classes)


def _check_images(images: np.ndarray, where: str) -> None:
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            f"{where}: images have shape {images.shape}, expected [n, h, w, c] with no side of length 0 "
            "(or [n, h, w] for one channel). Reshape them."
        )
    if images.shape[1] in (1, 3) and images.shape[3] not in (1, 2, 3, 4):
        raise ValueError(
            f"{where}: images have shape {images.shape}, which looks like [n, c, h, w], expected [n, h, w, "
            "c]. Use images.transpose(0, 2, 3, 1)."
        )
    if images.dtype == np.uint8:
        return
    if images.dtype.kind != "f":
        raise ValueError(
            f"{where}: images have dtype {images.dtype}, expected uint8 in 0..255 or float in [0, 1]. "
            "Convert them with images.astype(np.uint8) if they hold 0..255."
        )
    lowest, highest = float(images.min()), float(images.max())
    if not np.isfinite([lowest, highest]).all():
        raise ValueError(f"{where}: images hold NaN or infinity, expected finite values in [0, 1]. Clean them.")
    if lowest < 0 or highest > 1:
        raise ValueError(
            f"{where}: float images range from {lowest:g} to {highest:g}, expected values in [0, 1] (they "
            "are then shifted to [-0.5, 0.5]). Rescale them, for instance (images - low) / (high - low) with "
            "the lowest and highest value that a pixel can have, or save 0..255 as uint8."
        )
