"""A user's own arrays in one NumPy .npz file, looked at before they are decompressed."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from overunlearn_jax.data.class_names import check_class_names
from overunlearn_jax.data.source import Part, Source
from overunlearn_jax.labels import advice_on_range

REQUIRED = ("images", "labels")
OPTIONAL = ("test_images", "test_labels", "class_names")

# Photographs compress to a half, scanned digits to a tenth. What is both larger and denser than this is no data set.
LARGE = 2**30  # bytes, of all arrays together
DENSE = 100  # times smaller on disk

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class _Header(NamedTuple):
    """What the first bytes of an array say of it."""

    size: int  # bytes of the header itself
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read_npz(path: Path) -> Source:
    """Reads a data set from an .npz file, as `numpy.savez` or `numpy.savez_compressed` writes it.

    Keys of the file:
      images: shape=(n, h, w, c) or (n, h, w). uint8 in 0..255, or float in [0, 1]; nothing else.
      labels: shape=(n,), any integer dtype, 0..k-1, each of them at least once.
      test_images, test_labels: the same for the test part; both or none.
      class_names: shape=(k,), strings; without it the classes are called "0", "1", ...

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: not an .npz archive, or wrong keys; arrays of Python objects; an array that is not as long as its
        header says; more than `LARGE` bytes that are `DENSE` times smaller on disk (all this is found before an array
        is decompressed); labels so large that a class must be empty; or a class name that `check_class_names` refuses.
        The arrays themselves are checked by `check_source`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file at {path.absolute()}. Give the path of an existing .npz file.")
    _check_before_reading(path)
    with _reading(path), np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    train = Part(_with_channel(arrays["images"]), arrays["labels"])
    test = None
    if "test_images" in arrays:
        test = Part(_with_channel(arrays["test_images"]), arrays["test_labels"])
    return Source(path.stem, _class_names(arrays, path), train, test, origin=str(path))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Around reading the file: whatever a damaged one makes zipfile and NumPy raise becomes a ValueError."""
    try:
        yield
    except Exception as error:  # zipfile and NumPy raise more than ten kinds for a damaged file
        raise ValueError(
            f"{path} cannot be read as an .npz archive of plain arrays ({type(error).__name__}: {error}). Save it with "
            "np.savez(path, images=..., labels=...)."
        ) from error


def _check_before_reading(path: Path) -> None:
    """Raises ValueError for what no data set is, from the archive's directory and the first bytes of each array."""
    with _reading(path), zipfile.ZipFile(path) as archive:
        sizes = [(member.filename, member.file_size) for member in archive.infolist()]
    _check_keys(path, [name for name, _ in sizes])
    total, on_disk = sum(size for _, size in sizes), path.stat().st_size
    if total > LARGE and total > DENSE * on_disk:
        raise ValueError(
            f"{path} has {on_disk:,} bytes and would have {total:,} decompressed, more than {DENSE} times as many: no "
            "images compress so well. If they are right, save them uncompressed, with np.savez(path, ...)."
        )
    with _reading(path), zipfile.ZipFile(path) as archive:
        headers = [_read_header(archive, name) for name, _ in sizes]
    for (name, size), header in zip(sizes, headers, strict=True):
        key = name.removesuffix(".npy")
        if header.dtype.hasobject:
            raise ValueError(
                f"{path} cannot be read: {key!r} is an array of Python objects. These are refused, because reading "
                "them would run code: save class names with np.array(names, dtype=str), and images of one size as one "
                "array."
            )
        expected = header.size + math.prod(header.shape) * header.dtype.itemsize
        if size != expected:
            raise ValueError(
                f"{path} is damaged: {key!r} says that it is {header.dtype} of shape {header.shape}, which takes "
                f"{expected:,} bytes, and has {size:,}. Save it again with np.savez(path, images=..., labels=...)."
            )


def _check_keys(path: Path, members: list[str]) -> None:
    known = {f"{key}.npy": key for key in (*REQUIRED, *OPTIONAL)}
    keys = [known[name] for name in members if name in known]
    missing = [key for key in REQUIRED if key not in keys]
    unknown = sorted(name.removesuffix(".npy") for name in members if name not in known)
    if missing or unknown or len(set(keys)) < len(keys):
        listed = sorted(name.removesuffix(".npy") for name in members)
        raise ValueError(
            f"{path} holds the keys {listed[:20]}: missing {missing}, unknown {unknown[:20]}. Expected "
            f"{list(REQUIRED)} and perhaps {list(OPTIONAL)}, each once. Save it with np.savez(path, images=..., "
            "labels=...)."
        )
    if ("test_images" in keys) != ("test_labels" in keys):
        raise ValueError(
            f"{path} holds only one of 'test_images' and 'test_labels', expected both or none. Add the other "
            "one, or remove it: without a test part, 20 % of each class are held out."
        )


def _read_header(archive: zipfile.ZipFile, name: str) -> _Header:
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{name} is in version {version} of NumPy's format, which no plain array needs")
        shape, _, dtype = _HEADERS[version](file)
        return _Header(file.tell(), shape, dtype)


def _with_channel(images: np.ndarray) -> np.ndarray:
    return images[..., np.newaxis] if images.ndim == 3 else images


def _class_names(arrays: dict[str, np.ndarray], path: Path) -> tuple[str, ...]:
    if "class_names" not in arrays:
        return _numbers(arrays["labels"], path)
    names = arrays["class_names"]
    if names.ndim != 1 or names.dtype.kind != "U":
        raise ValueError(
            f"{path}: 'class_names' has dtype {names.dtype} and shape {names.shape}, expected one string for "
            "each class. Save it as np.array(names, dtype=str)."
        )
    return check_class_names(map(str, names), f"{path}, 'class_names'", "Give the class another name in this array.")


def _numbers(labels: np.ndarray, path: Path) -> tuple[str, ...]:
    """The names of classes that have none: one for each label up to the largest."""
    if labels.dtype.kind not in "iu" or labels.ndim != 1 or labels.size == 0:
        return ()  # what is wrong with them, check_source says
    lowest, highest = int(labels.min()), int(labels.max())
    if highest >= labels.size:
        raise ValueError(
            f"{path}: labels lie in {lowest} ... {highest}, and {labels.size} labels cannot name each of {highest + 1} "
            f"classes: {advice_on_range(lowest, highest, labels.size)}."
        )
    return tuple(map(str, range(highest + 1)))
