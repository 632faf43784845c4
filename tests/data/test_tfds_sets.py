import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from overunlearn_jax.data import DatasetNotAvailableError, load
from tests.data import tiny_tfds

NAMES = ["cat", "dog"]


@pytest.fixture
def tiny(tmp_path: Path, uint8_images: np.ndarray, two_labels: np.ndarray) -> Path:
    splits = {"train": (uint8_images, two_labels), "test": (uint8_images[:3], two_labels[:3])}
    tiny_tfds.write_classification(tmp_path, "tiny_set", splits, NAMES)
    return tmp_path


@pytest.mark.parametrize("name", ["tiny_set", "tiny_set:1.0.0", "tiny_set:1.*.*"])
def test_every_pixel_label_and_id(tiny: Path, uint8_images: np.ndarray, two_labels: np.ndarray, name: str):
    splits = load(name, data_dir=tiny, seed=0, download=False)
    assert splits.spec == (name, (4, 5, 3), (-0.5, 0.5), ("cat", "dog"))
    assert [len(split.ids) for split in splits[1:]] == [16, 4, 3]
    for split in splits[1:]:
        np.testing.assert_allclose(split.images, uint8_images[split.ids] / 255 - 0.5, atol=1e-7)
        np.testing.assert_array_equal(split.labels, two_labels[split.ids])


def test_reading_does_not_import_tensorflow(tiny: Path, tmp_path_factory: pytest.TempPathFactory):
    """A module called tensorflow is in reach, so the test can fail where TensorFlow is not installed."""
    reach = tmp_path_factory.mktemp("modules")
    (reach / "tensorflow.py").write_text("")
    code = (
        "import sys; from overunlearn_jax.data import load; before = set(sys.modules);"
        f"load('tiny_set', data_dir={str(tiny)!r}, seed=0);"
        "assert 'tensorflow_datasets' not in before, 'the import is not lazy';"
        "print([name for name in sys.modules if name.split('.')[0] == 'tensorflow']);"
        "import tensorflow; print(tensorflow.__file__)"
    )
    path = os.pathsep.join([str(reach), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["[]", str(reach / "tensorflow.py")]


def test_more_records_than_one_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    images = np.arange(100, dtype=np.uint8)[:, None, None, None].repeat(2, axis=1)
    labels = np.arange(100) % 2
    tiny_tfds.write_classification(tmp_path, "tiny_set", {"train": (images, labels)}, NAMES)
    monkeypatch.setattr("overunlearn_jax.data.tfds_sets._RECORDS_AT_ONCE", 30)
    monkeypatch.setattr("overunlearn_jax.data.tfds_sets._IMAGES_PER_TASK", 7)
    splits = load("tiny_set", data_dir=tmp_path, seed=0)
    assert splits.spec.image_shape == (2, 1, 1)
    for split in splits[1:]:
        np.testing.assert_allclose(split.images[:, 1, 0, 0], split.ids / 255 - 0.5, atol=1e-7)


def test_validation_stands_in_for_test_and_else_a_part_is_held_out(
    tmp_path: Path, uint8_images: np.ndarray, two_labels: np.ndarray
):
    train = (uint8_images, two_labels)
    validation = (uint8_images[5:9], two_labels[5:9])
    tiny_tfds.write_classification(tmp_path, "with_val", {"train": train, "validation": validation}, NAMES)
    tiny_tfds.write_classification(tmp_path, "alone", {"train": train}, NAMES)
    with_val = load("with_val", data_dir=tmp_path, seed=0)
    np.testing.assert_allclose(with_val.test.images, uint8_images[5:9] / 255 - 0.5, atol=1e-7)
    alone = load("alone", data_dir=tmp_path, seed=0)
    assert [len(split.ids) for split in alone[1:]] == [13, 3, 4]


def test_label_is_read_not_coarse_label(tmp_path: Path, uint8_images: np.ndarray, two_labels: np.ndarray):
    examples = [
        {"image": image, "label": int(label), "coarse_label": 2}
        for image, label in zip(uint8_images, two_labels, strict=True)
    ]
    features = {
        "image": tiny_tfds.image_feature(4, 5, 3),
        "label": tiny_tfds.label_feature(2),
        "coarse_label": tiny_tfds.label_feature(3),
    }
    names = {"label": NAMES, "coarse_label": ["x", "y", "z"]}
    tiny_tfds.write(tmp_path, "tiny_set", features, {"train": examples}, names)
    splits = load("tiny_set", data_dir=tmp_path, seed=0)
    assert splits.spec.class_names == ("cat", "dog")
    np.testing.assert_array_equal(splits.train.labels, two_labels[splits.train.ids])


def write_one(folder: Path, features: dict[str, Any], example: dict[str, Any], split: str = "train") -> None:
    names = {key: NAMES for key, feature in features.items() if "classLabel" in feature}
    tiny_tfds.write(folder, "tiny_set", features, {split: [example]}, names)


def test_sets_that_are_not_image_classification(tmp_path: Path):
    pixel, label = np.zeros((1, 1, 1), np.uint8), tiny_tfds.label_feature(2)
    image = tiny_tfds.image_feature(1, 1, 1)
    write_one(tmp_path / "1", {"image": image, "kind": label}, {"image": pixel, "kind": 0})
    with pytest.raises(ValueError, match=r"has the features \['image', 'kind'\], expected .*'label'"):
        load("tiny_set", data_dir=tmp_path / "1", seed=0)
    wide = tiny_tfds.image_feature(1, 1, 1, "uint16")
    write_one(tmp_path / "2", {"image": wide, "label": label}, {"image": pixel, "label": 0})
    with pytest.raises(ValueError, match=r"images of dtype uint16 and shape \(1, 1, 1\), expected uint8"):
        load("tiny_set", data_dir=tmp_path / "2", seed=0)
    write_one(tmp_path / "3", {"image": image, "label": label}, {"image": pixel, "label": 0}, split="all")
    with pytest.raises(ValueError, match=r"has the splits \['all'\], expected one called 'train'"):
        load("tiny_set", data_dir=tmp_path / "3", seed=0)


def test_images_of_different_sizes(tmp_path: Path):
    features = {"image": tiny_tfds.image_feature(None, None, 3), "label": tiny_tfds.label_feature(2)}
    examples = [{"image": np.zeros((side, 2, 3), np.uint8), "label": 0} for side in (2, 2, 3)]
    tiny_tfds.write(tmp_path, "tiny_set", features, {"train": examples}, {"label": NAMES})
    with pytest.raises(ValueError, match=r"different sizes, \(2, 2, 3\) and \(3, 2, 3\), .*--image_size=SIDE"):
        load("tiny_set", data_dir=tmp_path, seed=0)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_image_size_gives_images_of_different_sizes_one(tmp_path: Path, channels: int):
    features = {"image": tiny_tfds.image_feature(None, None, channels), "label": tiny_tfds.label_feature(2)}
    exact = np.random.default_rng(0).integers(0, 256, (6, 6, channels), np.uint8)
    exact[..., 3:] = 255
    wide = np.zeros((8, 16, channels), np.uint8)
    wide[:, 4:12] = 255  # the middle square is white
    examples = [{"image": image, "label": row % 2} for row, image in enumerate([exact, wide] * 5)]
    tiny_tfds.write(tmp_path, "tiny_set", features, {"train": examples, "test": examples[:2]}, {"label": NAMES})
    splits = load("tiny_set", data_dir=tmp_path, seed=0, image_size=6)
    assert splits.spec.image_shape == (6, 6, channels)
    np.testing.assert_allclose(splits.test.images[0], exact / 255 - 0.5, atol=1e-7)
    assert splits.test.images[1, :, 1:-1].min() == 0.5
    with pytest.raises(ValueError, match=r"different sizes"):  # what was decoded at one size serves no other
        load("tiny_set", data_dir=tmp_path, seed=0)


def test_unlabelled_test_part_is_refused(tmp_path: Path, uint8_images: np.ndarray, two_labels: np.ndarray):
    splits = {"train": (uint8_images, two_labels), "test": (uint8_images, np.full(20, -1))}
    tiny_tfds.write_classification(tmp_path, "tiny_set", splits, NAMES)
    with pytest.raises(ValueError, match=r"TFDS set 'tiny_set', test part: labels lie in -1"):
        load("tiny_set", data_dir=tmp_path, seed=0)


def test_prepared_in_a_format_that_needs_tensorflow(tmp_path: Path):
    features = {"image": tiny_tfds.image_feature(1, 1, 1), "label": tiny_tfds.label_feature(2)}
    example = {"image": np.zeros((1, 1, 1), np.uint8), "label": 0}
    names = {"label": NAMES}
    tiny_tfds.write(tmp_path, "tiny_set", features, {"train": [example]}, names, file_format="tfrecord")
    with pytest.raises(DatasetNotAvailableError, match=r"in the format tfrecord, .*--data_dir=DIR"):
        load("tiny_set", data_dir=tmp_path, seed=0)
