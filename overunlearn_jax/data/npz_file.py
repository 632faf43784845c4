"""A user's own arrays in one NumPy .npz file."""

import zipfile
from pathlib import Path

import numpy as np

from overunlearn_jax.data.source import Part, Source

REQUIRED = ("images", "labels")
OPTIONAL = ("test_images", "test_labels", "class_names")


def read_npz(path: Path) -> Source:
    """Reads a data set from an .npz file, as `numpy.savez` writes it.

    Keys of the file:
      images: shape=(n, h, w, c) or (n, h, w). uint8 in 0..255, or float in [0, 1]; nothing else.
      labels: shape=(n,), any integer dtype, 0..k-1, each of them at least once.
      test_images, test_labels: the same for the test part; both or none.
      class_names: shape=(k,), strings; without it the classes are called "0", "1", ...

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: not an .npz archive, or wrong keys. The arrays themselves are checked by `check_source`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file at {path.absolute()}. Give the path of an existing .npz file.")
    arrays = _read_arrays(path)
    missing = [key for key in REQUIRED if key not in arrays]
    unknown = sorted(set(arrays) - {*REQUIRED, *OPTIONAL})
    if missing or unknown:
        raise ValueError(
            f"{path} holds the keys {sorted(arrays)}: missing {missing}, unknown {unknown}. Expected "
            f"{list(REQUIRED)} and perhaps {list(OPTIONAL)}. Save it with np.savez(path, images=..., "
            "labels=...)."
        )
    if ("test_images" in arrays) != ("test_labels" in arrays):
        raise ValueError(
            f"{path} holds only one of 'test_images' and 'test_labels', expected both or none. Add the other "
            "one, or remove it: without a test part, 20 % of each class are held out."
        )
    train = Part(_with_channel(arrays["images"]), arrays["labels"])
    test = None
    if "test_images" in arrays:
        test = Part(_with_channel(arrays["test_images"]), arrays["test_labels"])
    return Source(path.stem, _class_names(arrays, path), train, test, origin=str(path))


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (AttributeError, EOFError, OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} cannot be read as an .npz archive of plain arrays ({type(error).__name__}: {error}). "
            "Save it with np.savez(path, images=..., labels=...); arrays of Python objects are refused, "
            "because reading them would run code: save class names with np.array(names, dtype=str)."
        ) from error


def _with_channel(images: np.ndarray) -> np.ndarray:
    return images[..., np.newaxis] if images.ndim == 3 else images


def _class_names(arrays: dict[str, np.ndarray], path: Path) -> tuple[str, ...]:
    labels = arrays["labels"]
    if "class_names" not in arrays:
        usable = labels.dtype.kind in "iu" and labels.size > 0  # what is wrong otherwise, check_source says
        return tuple(str(label) for label in range(int(labels.max()) + 1 if usable else 0))
    names = arrays["class_names"]
    if names.ndim != 1 or names.dtype.kind != "U":
        raise ValueError(
            f"{path}: 'class_names' has dtype {names.dtype} and shape {names.shape}, expected one string for "
            "each class. Save it as np.array(names, dtype=str)."
        )
    return tuple(str(name) for name in names)
