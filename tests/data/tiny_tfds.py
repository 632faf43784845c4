"""Writes a small TFDS set as ArrayRecord, by hand: TFDS itself can do that only with TensorFlow."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FEATURES = "tensorflow_datasets.core.features."


Feature = dict[str, Any]


def image_feature(height: int | None, width: int | None, channels: int, dtype: str = "uint8") -> Feature:
    sides = [str(-1 if side is None else side) for side in (height, width, channels)]
    return {
        "pythonClassName": FEATURES + "image_feature.Image",
        "image": {"dtype": dtype, "shape": {"dimensions": sides}},
    }


def label_feature(num_classes: int) -> dict[str, Any]:
    return {
        "pythonClassName": FEATURES + "class_label_feature.ClassLabel",
        "classLabel": {"numClasses": str(num_classes)},
    }


def encode(image: np.ndarray) -> bytes:
    """PNG, which loses nothing."""
    stream = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(stream, format="PNG")
    return stream.getvalue()


def write(
    data_dir: Path,
    name: str,
    features: Mapping[str, dict[str, Any]],
    splits: Mapping[str, Sequence[Mapping[str, np.ndarray | int]]],
    names: Mapping[str, Sequence[str]],
    file_format: str = "array_record",
    version: str = "1.0.0",
) -> None:
    """Each example maps a feature's name to an image or an integer; `names` are those of each class label."""
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2

    folder = data_dir / name / version
    folder.mkdir(parents=True)
    infos = []
    for split, examples in splits.items():
        path = folder / f"{name}-{split}.array_record-00000-of-00001"
        writer = ArrayRecordWriter(str(path), "group_size:1")
        size = 0
        for example in examples:
            message = tf_example_pb2.Example()
            for key, value in example.items():
                feature = message.features.feature[key]
                if isinstance(value, np.ndarray):
                    feature.bytes_list.value.append(encode(value))
                else:
                    feature.int64_list.value.append(value)
            record = message.SerializeToString()
            writer.write(record)
            size += len(record)
        writer.close()
        infos.append(
            {
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "name": split,
                "numBytes": str(size),
                "shardLengths": [str(len(examples))],
            }
        )
    (folder / "dataset_info.json").write_text(
        json.dumps({"name": name, "version": version, "fileFormat": file_format, "splits": infos})
    )
    (folder / "features.json").write_text(
        json.dumps(
            {
                "pythonClassName": FEATURES + "features_dict.FeaturesDict",
                "featuresDict": {"features": features},
            }
        )
    )
    for key, label_names in names.items():
        (folder / f"{key}.labels.txt").write_text("\n".join(label_names) + "\n")


def write_classification(
    data_dir: Path,
    name: str,
    splits: Mapping[str, tuple[np.ndarray, np.ndarray]],
    class_names: Sequence[str],
    version: str = "1.0.0",
) -> None:
    """The ordinary case: for each split uint8 images, shape=(n, h, w, c), and labels, shape=(n,)."""
    shape = next(iter(splits.values()))[0].shape[1:]
    examples = {
        split: [{"image": image, "label": int(label)} for image, label in zip(images, labels, strict=True)]
        for split, (images, labels) in splits.items()
    }
    features = {"image": image_feature(*shape), "label": label_feature(len(class_names))}
    write(data_dir, name, features, examples, {"label": class_names}, version=version)
