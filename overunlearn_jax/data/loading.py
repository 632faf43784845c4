"""One function for every data set: by name, by a path to an .npz file, or by a path to a folder of images."""

import functools
import os
from pathlib import Path

import numpy as np

from overunlearn_jax.data.digits import read_digits
from overunlearn_jax.data.image_folder import read_image_folder
from overunlearn_jax.data.npz_file import read_npz
from overunlearn_jax.data.pictures import check_side
from overunlearn_jax.data.source import Source
from overunlearn_jax.data.splitting import make_splits
from overunlearn_jax.data.tfds_builder import base_name
from overunlearn_jax.data.tfds_sets import read_tfds
from overunlearn_jax.types import Splits

BUILT_IN = ("digits", "cifar10", "cifar100", "stl10")
STL10_MAX_TEST = 1000


def load(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    seed: int,
    download: bool = True,
    image_size: int | None = None,
) -> Splits:
    """Loads an image classification data set into host memory.

    Args:
      name: one of

        - `digits`: scikit-learn's 1,797 digits, each pixel repeated 2 x 2 to 16 x 16 x 1; no download;
        - `cifar10`, `cifar100`, `stl10`, or any TensorFlow Datasets image classification set in TFDS's own
          syntax, `name`, `name/config` or `name:version`; its features must be called `image` and `label`.
          Of STL-10's test part at most 1,000 images are used: the first 100 of each class;
        - a path ending in `.npz`; keys: see `overunlearn_jax.data.npz_file.read_npz`;
        - a path to a folder of images; layout: see `overunlearn_jax.data.image_folder.read_image_folder`.
          A bare word is always a data set's name: write `./photos`, not `photos`.

      data_dir: where TFDS sets are, or are to be prepared; None is TFDS's own default. Other sets ignore it.
      seed: not negative; decides which 20 % of the training part validate, and nothing else.
      download: whether a TFDS set that is not on disk may be downloaded and prepared.
      image_size: of folders and TFDS sets, whose images may have different sizes: the side of a square in pixels.
        Each image is scaled, up or down, until its shorter side has so many, and the middle of its longer side is
        kept. None: images stay as they are, and must have one size. The arrays of an `.npz` file have one.

    Returns:
      `Splits`: float32 images in [-0.5, 0.5], int32 labels, int64 ids. Test is the source's test part, else
      its validation part, else 20 % of each class held out by a rule that does not depend on `seed`
      (`overunlearn_jax.data.splitting.held_out_positions`). The remaining images are split 80 / 20 into
      train and validation by `seed`, both in shuffled order. Ids are positions in the part of the source
      that the image came from, so the ids of train and validation never overlap.

    Raises:
      DatasetNotAvailableError: a TFDS set is not on disk and could not be prepared.
      FileNotFoundError: a path that does not exist.
      ValueError: an unknown name, a negative seed, an `image_size` that is no number of pixels or given for an
        `.npz` file or the digits, or data that cannot be used; the message says which and why.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}, expected an integer >= 0.")
    check_side(image_size)
    path = Path(name).expanduser()
    if image_size is not None and (name == "digits" or path.suffix == ".npz"):
        raise ValueError(
            f"image_size is {image_size}, and {name} holds images of one size, which stay as they are: leave out "
            "--image_size (image_size in Python), or save resized images. It is of folders and TFDS sets."
        )
    if name == "digits":
        return make_splits(read_digits(), seed=seed)
    if path.suffix == ".npz":
        return make_splits(read_npz(path), seed=seed)
    if _is_path(name):
        if path.is_dir():
            return make_splits(read_image_folder(path, image_size), seed=seed)
        if path.is_absolute() or name.startswith("."):
            raise FileNotFoundError(
                f"data set {name!r}: there is no directory at {path.absolute()}. Expected a folder of "
                f"images, a file ending in .npz, or a name such as {', '.join(BUILT_IN)}."
            )
    source = _decoded(name, None if data_dir is None else os.fspath(data_dir), download, image_size)
    return make_splits(source, seed=seed, max_test=STL10_MAX_TEST if base_name(name) == "stl10" else None)


@functools.lru_cache(maxsize=1)  # all seeds of a run split the same images: decoding CIFAR-10 takes 10 s of a core
def _decoded(name: str, data_dir: str | None, download: bool, image_size: int | None) -> Source:
    return read_tfds(name, data_dir=data_dir, download=download, built_in=BUILT_IN, image_size=image_size)


def is_path(name: str) -> bool:
    """Whether a name is a path to files of one's own, a `.npz` file or a folder of images, and no data set's name."""
    path = Path(name).expanduser()
    return path.suffix == ".npz" or (_is_path(name) and path.is_dir())


def holds_out_test(name: str) -> bool:
    """Whether the files at a path have no test part, so that `load` holds one out of the training part."""
    path = Path(name).expanduser()
    if path.suffix != ".npz":
        return not (path / "test").is_dir()
    with np.load(path) as stored:
        return "test_images" not in stored


def _is_path(name: str) -> bool:
    separators = {"/", os.sep, os.altsep or "/"}
    return name in (".", "..", "~") or any(separator in name for separator in separators)
