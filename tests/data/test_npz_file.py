from pathlib import Path

import numpy as np
import pytest

from overunlearn_jax.data import load


def test_every_key(tmp_path: Path, uint8_images: np.ndarray, two_labels: np.ndarray):
    path = tmp_path / "mine.npz"
    np.savez(
        path,
        images=uint8_images,
        labels=two_labels,
        test_images=uint8_images[:6],
        test_labels=two_labels[:6].astype(np.uint8),
        class_names=np.array(["cat", "dog"]),
    )
    splits = load(str(path), seed=0)
    assert splits.spec == ("mine", (4, 5, 3), (-0.5, 0.5), ("cat", "dog"))
    assert [len(split.ids) for split in splits[1:]] == [16, 4, 6]
    np.testing.assert_allclose(splits.test.images, uint8_images[:6] / 255 - 0.5, atol=1e-7)
    np.testing.assert_allclose(splits.train.images, uint8_images[splits.train.ids] / 255 - 0.5, atol=1e-7)
    np.testing.assert_array_equal(splits.validation.labels, two_labels[splits.validation.ids])


def test_floats_of_rank_3_without_names_or_test_part(tmp_path: Path, two_labels: np.ndarray):
    images = np.linspace(0, 1, 20 * 6).reshape(20, 2, 3)
    np.savez(tmp_path / "floats.npz", images=images, labels=two_labels)
    splits = load(str(tmp_path / "floats.npz"), seed=1)
    assert splits.spec.image_shape == (2, 3, 1)
    assert splits.spec.class_names == ("0", "1")
    assert [len(split.ids) for split in splits[1:]] == [13, 3, 4]
    np.testing.assert_allclose(splits.test.images[..., 0], images[splits.test.ids] - 0.5, atol=1e-7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, r"missing \['labels'\], unknown \[\].*np.savez"),
        ({"test_image": np.zeros(3)}, r"missing \[\], unknown \['test_image'\]"),
        ({"test_labels": np.zeros(3, int)}, r"only one of 'test_images' and 'test_labels'"),
        ({"class_names": np.array([1, 2])}, r"'class_names' has dtype int64.*one string for each class"),
        ({"class_names": np.array(["a", "b"], dtype=object)}, r"cannot be read .*objects are refused"),
        ({"class_names": np.array(["a"])}, r"labels range from 0 to 1, expected 0..0"),
        ({"class_names": np.array(["a", "b", "c"])}, r"no image of class\(es\) \['c'\]"),
        ({"labels": np.arange(20) % 2 * 2}, r"no image of class\(es\) \['1'\]"),
        ({"labels": np.arange(20) % 2 / 1}, r"labels have dtype float64"),
        ({"labels": np.zeros(0, int)}, r"labels have shape \(0,\) for 20 images"),
        ({"images": np.full((20, 2, 2, 1), 255.0)}, r"float images range from 255 to 255"),
    ],
)
def test_unusable_files_are_named_and_explained(
    tmp_path: Path, uint8_images: np.ndarray, two_labels: np.ndarray, changes: dict, message: str
):
    arrays = {"images": uint8_images, "labels": two_labels, **changes}
    path = tmp_path / "bad.npz"
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(ValueError, match=rf"bad\.npz.*{message}"):
        load(str(path), seed=0)


def test_not_an_archive(tmp_path: Path):
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(ValueError, match=r"text.npz cannot be read as an .npz archive"):
        load(str(tmp_path / "text.npz"), seed=0)
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"array.npz cannot be read as an .npz archive"):
        load(str(tmp_path / "array.npz"), seed=0)
    with pytest.raises(FileNotFoundError, match=r"no file at .*nowhere.npz. Give the path"):
        load(str(tmp_path / "nowhere.npz"), seed=0)
