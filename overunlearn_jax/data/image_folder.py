"""A folder with one sub-folder of image files for each class."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from overunlearn_jax.data.source import Part, Source

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def read_image_folder(root: Path) -> Source:
    """Reads `root/<class name>/<image>`, or `root/train/<class name>/<image>` and the same under `root/test`.

    Classes are the sub-folders in alphabetical order; images are in the order of their classes, then of
    their file names. All must have one size. If every file is greyscale (Pillow's mode `L`) there is one
    channel; otherwise all are converted to RGB, which drops transparency. Of an animation the first frame is
    read. Hidden files, files that do not end like an image, and files in no class folder are left out.

    Raises:
      ValueError: no images, a class without images, a file that cannot be read or has more than 8 bits a
        channel, or images of different sizes; the message names the first such file.
    """
    if not _sub_folders(root / "train"):  # none in a class that happens to be called "train"
        return _source(root, _list_files(root), None)
    others = [folder.name for folder in _sub_folders(root) if folder.name not in ("train", "test")]
    if others:
        raise ValueError(
            f"{root} holds {others[:20]} beside 'train', expected only 'train' and perhaps 'test'. Rename "
            "one to 'test', or move them elsewhere: 20 % of 'train' become the validation part."
        )
    train_files = _list_files(root / "train")
    if not (root / "test").is_dir():
        return _source(root, train_files, None)
    test_files = _list_files(root / "test")
    unknown = sorted(set(test_files) - set(train_files))
    if unknown:
        raise ValueError(
            f"{root / 'test'} holds the classes {unknown[:20]} that {root / 'train'} does not have, expected "
            "a subset of the same class folders. Rename or remove them."
        )
    return _source(root, train_files, test_files)


def _source(root: Path, train: dict[str, list[Path]], test: dict[str, list[Path]] | None) -> Source:
    class_names = tuple(train)
    label_of = {name: label for label, name in enumerate(class_names)}
    train_count = sum(map(len, train.values()))
    files = [file for part in (train, test or {}) for in_class in part.values() for file in in_class]
    labels = np.array(
        [label_of[name] for part in (train, test or {}) for name, in_class in part.items() for _ in in_class]
    )
    images = _read_images(files)
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


def _read_images(files: list[Path]) -> np.ndarray:
    """All files as uint8, shape=(n, h, w, 1) if all are greyscale, else (n, h, w, 3)."""
    Image.init()  # loads Pillow's plugins here, once, not in several threads at the same time
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        headers = list(pool.map(_read_header, files))
        first_size = headers[0][1]
        for file, (mode, size) in zip(files, headers, strict=True):
            if size != first_size:
                raise ValueError(
                    f"{file} is {size[0]} x {size[1]} pixels and {files[0]} is {first_size[0]} x "
                    f"{first_size[1]} (width x height), expected one size for all images. Resize them first."
                )
            if mode.startswith(("I", "F")):
                raise ValueError(
                    f"{file} has more than 8 bits a channel (Pillow's mode {mode!r}), expected 8. Convert it first."
                )
        mode = "L" if all(mode == "L" for mode, _ in headers) else "RGB"
        width, height = first_size
        images = np.empty((len(files), height, width, 1 if mode == "L" else 3), dtype=np.uint8)

        def read_into(position: int) -> None:
            images[position] = _read_pixels(files[position], mode).reshape(images.shape[1:])

        list(pool.map(read_into, range(len(files))))
    return images


def _read_header(file: Path) -> tuple[str, tuple[int, int]]:
    try:
        with Image.open(file) as image:
            return image.mode, image.size
    except (OSError, UnidentifiedImageError) as error:
        raise _unreadable(file, error) from error


def _read_pixels(file: Path, mode: str) -> np.ndarray:
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert(mode))
    except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError on a damaged PNG
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> ValueError:
    return ValueError(f"{file} cannot be read as an image ({error}). Replace or remove it.")
