"""Image classification sets of TensorFlow Datasets, read without TensorFlow.

Pixels are decoded with Pillow, whether or not OpenCV is installed, so that the same files give the same
pixels everywhere. They are as stored: TensorFlow, too, does not turn images as their EXIF data say.
"""

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from overunlearn_jax.data.pictures import FORMATS, to_pixels
from overunlearn_jax.data.source import Part, Source
from overunlearn_jax.data.tfds_builder import find_builder, not_available, prepare

_PILLOW_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_RECORDS_AT_ONCE = 4096  # encoded records held in memory
_IMAGES_PER_TASK = 256


def read_tfds(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None,
    download: bool,
    built_in: Sequence[str],
    image_size: int | None = None,
) -> Source:
    """Reads the train part and the test part (else validation, else none) of a TFDS set.

    Args:
      name: in TFDS's syntax: `name`, `name/config`, `name:version`.
      data_dir: where prepared sets are; None is TFDS's own default.
      download: whether a set that is not there may be downloaded and prepared (which needs TensorFlow).
      built_in: names to show when `name` is unknown.
      image_size: the side of a square that every image is scaled and cropped to; None: as they are, of one size.

    Raises:
      DatasetNotAvailableError: not on disk, and not to be had; the message says what would help.
      ValueError: no such set, or not an image classification set.
    """
    builder = find_builder(name, data_dir, built_in)
    read_class_names(builder, name)  # refuses what is no image classification set before it is downloaded
    if not builder.is_prepared():
        prepare(builder, name, data_dir, download)
        builder = find_builder(name, data_dir, built_in)  # reads what was just written
    class_names = read_class_names(builder, name)
    splits = builder.info.splits
    if "train" not in splits:
        raise ValueError(f"TFDS set {name!r} has the splits {sorted(splits)}, expected one called 'train'.")
    test_name = next((part for part in ("test", "validation") if part in splits), None)
    train = _read_part(builder, name, data_dir, "train", image_size)
    test = _read_part(builder, name, data_dir, test_name, image_size) if test_name else None
    return Source(name, class_names, train, test, origin=f"TFDS set {name!r}")


def read_class_names(builder: Any, name: str) -> tuple[str, ...]:
    """The names of the feature `label`; ValueError if the set is not an image classification set."""
    features = dict(builder.info.features or {})
    image, label = features.get("image"), features.get("label")
    names = getattr(label, "names", None)
    if image is None or names is None or len(image.shape) != 3:
        raise ValueError(
            f"TFDS set {name!r} has the features {sorted(features)}, expected an image called 'image' and a "
            "class label called 'label'. Choose an image classification set, or save this one as an .npz "
            "file."
        )
    if image.np_dtype != np.uint8 or image.shape[-1] not in _PILLOW_MODES:
        raise ValueError(
            f"TFDS set {name!r} has images of dtype {np.dtype(image.np_dtype)} and shape {image.shape}, "
            f"expected uint8 with {', '.join(map(str, _PILLOW_MODES))} channels. Convert it and save it as "
            "an .npz file."
        )
    return tuple(names)


def _read_part(
    builder: Any, name: str, data_dir: str | os.PathLike[str] | None, part: str, image_size: int | None
) -> Part:
    import tensorflow_datasets as tfds

    try:
        records = builder.as_data_source(split=part, decoders={"image": tfds.decode.SkipDecoding()})
    except NotImplementedError as error:
        raise not_available(
            name,
            data_dir,
            f"The copy in {builder.data_path} is in the format {builder.info.file_format.value}, which "
            "cannot be read without TensorFlow; array_record can.",
            "Point to another directory, where an array_record copy is or can be made: --data_dir=DIR "
            "(data_dir=DIR in Python).",
        ) from error
    decode = partial(_decode, _PILLOW_MODES[builder.info.features["image"].shape[-1]], image_size)
    Image.init()  # loads Pillow's plugins here, once, not in several threads at the same time
    images: np.ndarray | None = None
    labels = np.empty(len(records), dtype=np.int64)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(records), _RECORDS_AT_ONCE):
            positions = range(start, min(start + _RECORDS_AT_ONCE, len(records)))
            examples = records.__getitems__(positions)
            labels[positions.start : positions.stop] = [example["label"] for example in examples]
            if images is None:
                images = np.empty((len(records), *decode(examples[0]["image"]).shape), dtype=np.uint8)
            _decode_into(images[positions.start : positions.stop], examples, decode, pool, name)
    if images is None:
        raise ValueError(f"TFDS set {name!r}: the split {part!r} is empty, expected at least one image.")
    return Part(images, labels)


def _decode_into(
    images: np.ndarray,
    examples: Sequence[dict[str, Any]],
    decode: Callable[[bytes], np.ndarray],
    pool: ThreadPoolExecutor,
    name: str,
) -> None:
    def decode_some(start: int) -> None:
        for position in range(start, min(start + _IMAGES_PER_TASK, len(examples))):
            image = decode(examples[position]["image"])
            if image.shape != images.shape[1:]:
                raise ValueError(
                    f"TFDS set {name!r} has images of different sizes, {images.shape[1:]} and {image.shape}, "
                    "expected one size. Give them one: --image_size=SIDE (image_size=SIDE in Python) scales each and "
                    "keeps its middle square."
                )
            images[position] = image

    list(pool.map(decode_some, range(0, len(examples), _IMAGES_PER_TASK)))


def _decode(mode: str, image_size: int | None, encoded: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
        return to_pixels(image, mode, image_size)
