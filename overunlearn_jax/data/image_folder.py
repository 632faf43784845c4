"""A folder with one sub-folder of image files for each class."""

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from overunlearn_jax.data.class_names import check_class_names
from overunlearn_jax.data.pictures import FORMATS, GREY_MODES, to_pixels, turn_upright, upright_size
from overunlearn_jax.data.source import Part, Source

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def read_image_folder(root: Path, image_size: int | None = None) -> Source:
    """Reads `root/<class name>/<image>`, or `root/train/<class name>/<image>` and the same under `root/test`.

    Classes are the sub-folders in alphabetical order; images are in the order of their classes, then of their file
    names. Hidden files, files that do not end like an image, and files in no class folder are left out.

    * Size: all must have one, or `image_size` gives it to them: the side of a square in pixels. An image is scaled, up
      or down, until its shorter side has so many, and the middle of its longer side is kept.
    * Orientation: an image is turned as its EXIF data say, the way a viewer shows it.
    * Colour: if every file is grey (Pillow's modes `L` and `LA`) there is one channel; otherwise all are RGB.
    * Transparency is dropped: a pixel has the colour that the file holds for it, whatever its alpha. Put images on the
      background that they are meant for before, where that colour is not the one to see.
    * Of an animation the first frame is read.

    Raises:
      ValueError: no images, a class without images, a class name that `check_class_names` refuses, a file that cannot
        be read as one of `FORMATS`, declares more pixels than Pillow decodes or has more than 8 bits a channel, or
        images of different sizes without an `image_size`; the message names the first such file.
    """
    if not _sub_folders(root / "train"):  # none in a class that happens to be called "train"
        return _source(root, _list_files(root), None, image_size)
    others = [folder.name for folder in _sub_folders(root) if folder.name not in ("train", "test")]
    if others:
        raise ValueError(
            f"{root} holds {others[:20]} beside 'train', expected only 'train' and perhaps 'test'. Rename "
            "one to 'test', or move them elsewhere: 20 % of 'train' become the validation part."
        )
    train_files = _list_files(root / "train")
    if not (root / "test").is_dir():
        return _source(root, train_files, None, image_size)
    test_files = _list_files(root / "test")
    unknown = sorted(set(test_files) - set(train_files))
    if unknown:
        raise ValueError(
            f"{root / 'test'} holds the classes {unknown[:20]} that {root / 'train'} does not have, expected "
            "a subset of the same class folders. Rename or remove them."
        )
    return _source(root, train_files, test_files, image_size)


def _source(
    root: Path, train: dict[str, list[Path]], test: dict[str, list[Path]] | None, image_size: int | None
) -> Source:
    class_names = check_class_names(train, str(root), "Rename the folder.")
    label_of = {name: label for label, name in enumerate(class_names)}
    train_count = sum(map(len, train.values()))
    files = [file for part in (train, test or {}) for in_class in part.values() for file in in_class]
    labels = np.array(
        [label_of[name] for part in (train, test or {}) for name, in_class in part.items() for _ in in_class]
    )
    images = _read_images(files, image_size)
    return Source(
        root.absolute().name,
        class_names,
        Part(images[:train_count], labels[:train_count]),
        None if test is None else Part(images[train_count:], labels[train_count:]),
        origin=str(root),
    )


def _sub_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _list_files(folder: Path) -> dict[str, list[Path]]:
    """The image files of each class, in order."""
    files = {
        sub_folder.name: sorted(
            path
            for path in sub_folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
        for sub_folder in _sub_folders(folder)
    }
    if not files:
        raise ValueError(
            f"{folder} has no sub-folders, expected one for each class: {folder}/<class name>/<image>. Move "
            "the images into folders named after their classes."
        )
    empty = [name for name, in_class in files.items() if not in_class]
    if empty:
        raise ValueError(
            f"{folder}: no image files in the class folder(s) {empty[:20]}, expected at least one file "
            f"ending in {', '.join(SUFFIXES)} in each. Add images or remove the folder."
        )
    return files


class _Header(NamedTuple):
    """What is known of a file before its pixels are decoded."""

    mode: str  # Pillow's
    size: tuple[int, int]  # width and height, upright where they have to be alike


def _read_images(files: list[Path], image_size: int | None) -> np.ndarray:
    """All files as uint8, shape=(n, h, w, 1) if all are grey, else (n, h, w, 3)."""
    Image.init()  # loads Pillow's plugins here, once, not in several threads at the same time
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # in all threads: the filters are the process's
        headers = list(pool.map(partial(_read_header, upright=image_size is None), files))
        for file, header in zip(files, headers, strict=True):
            if image_size is None and header.size != headers[0].size:
                raise _differ(file, header.size, files[0], headers[0].size)
            if header.mode.startswith(("I", "F")):
                raise ValueError(
                    f"{file} has more than 8 bits a channel (Pillow's mode {header.mode!r}), expected 8. Convert it "
                    "first."
                )
        mode = "L" if all(header.mode in GREY_MODES for header in headers) else "RGB"
        width, height = headers[0].size if image_size is None else (image_size, image_size)
        images = np.empty((len(files), height, width, 1 if mode == "L" else 3), dtype=np.uint8)

        def read_into(position: int) -> None:
            images[position] = _read_pixels(files[position], mode, image_size)

        list(pool.map(read_into, range(len(files))))
    return images


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    """The picture in a file. By the name alone Pillow would map an uncompressed TIFF, and garble one on its side."""
    with file.open("rb") as stream, Image.open(stream, formats=FORMATS) as image:
        yield image


def _read_header(file: Path, upright: bool) -> _Header:
    try:
        with _opened(file) as image:
            return _Header(image.mode, upright_size(image) if upright else image.size)
    except Exception as error:  # decoders raise many kinds for a damaged file
        raise _unreadable(file, error) from error


def _read_pixels(file: Path, mode: str, image_size: int | None) -> np.ndarray:
    try:
        with _opened(file) as image:
            turn_upright(image)
            return to_pixels(image, mode, image_size)
    except Exception as error:
        raise _unreadable(file, error) from error


def _differ(file: Path, size: tuple[int, int], first: Path, first_size: tuple[int, int]) -> ValueError:
    return ValueError(
        f"{file} is {size[0]} x {size[1]} pixels and {first} is {first_size[0]} x {first_size[1]} (width x height), "
        "expected one size for all images. Give them one: --image_size=SIDE (image_size=SIDE in Python) scales each "
        "and keeps its middle square."
    )


def _unreadable(file: Path, error: Exception) -> ValueError:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return ValueError(
            f"{file} declares a picture that is too large to decode ({error}). Make it smaller or remove it."
        )
    return ValueError(
        f"{file} cannot be read as an image ({error}), expected one of {', '.join(FORMATS)}. Replace or remove it."
    )
