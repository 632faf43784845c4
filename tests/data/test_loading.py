from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from overunlearn_jax.data import digest, is_path, load
from overunlearn_jax.types import Splits


def test_digits():
    splits = load("digits", seed=0)
    assert splits.spec == ("digits", (16, 16, 1), (-0.5, 0.5), tuple("0123456789"))
    assert [len(split.ids) for split in splits[1:]] == [1150, 288, 359]
    original = load_digits()
    for split in splits[1:]:
        small = split.images[:, ::2, ::2, 0]
        np.testing.assert_allclose(small, original.images[split.ids] / 16 - 0.5, atol=1e-7)
        for rows, columns in [(0, 1), (1, 0), (1, 1)]:
            np.testing.assert_array_equal(split.images[:, rows::2, columns::2, 0], small)
        np.testing.assert_array_equal(split.labels, original.target[split.ids])
        assert (split.images.min(), split.images.max()) == (-0.5, 0.5)
    held_out = np.bincount(splits.test.labels) / np.bincount(original.target)
    np.testing.assert_allclose(held_out, 0.2, atol=0.003)


def test_digits_seed_changes_validation_but_not_test():
    first, other = load("digits", seed=0), load("digits", seed=1)
    assert set(first.validation.ids) != set(other.validation.ids)
    for of_first, of_other in zip(first.test, other.test, strict=True):
        np.testing.assert_array_equal(of_first, of_other)
    assert not set(first.train.ids) & set(first.validation.ids)
    assert not set(first.test.ids) & {*first.train.ids, *first.validation.ids}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("digits", False), ("cifar10", False), ("imagenet_resized/8x8", False), ("photos.npz", True), (".", True)],
)
def test_what_is_a_path_and_what_a_name(name: str, expected: bool):
    assert is_path(name) == expected


def test_negative_seed():
    with pytest.raises(ValueError, match=r"seed is -3, expected an integer >= 0"):
        load("digits", seed=-3)


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "8"])
def test_an_image_size_that_is_none(size):
    with pytest.raises(ValueError, match=r"image_size is .*expected a side in pixels, at least 1, or None"):
        load("./photos", seed=0, image_size=size)


@pytest.mark.parametrize("name", ["digits", "nowhere.npz"])
def test_sets_of_one_size_take_no_image_size(name: str):
    with pytest.raises(ValueError, match=rf"image_size is 8, and {name} holds images of one size.*leave out"):
        load(name, seed=0, image_size=8)


def test_cifar10(cifar10: Splits):
    assert cifar10.spec.image_shape == (32, 32, 3)
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    assert cifar10.spec.class_names == names
    assert [split.images.shape[0] for split in cifar10[1:]] == [40_000, 10_000, 10_000]
    for split in cifar10[1:]:
        assert [array.dtype for array in split] == [np.float32, np.int32, np.int64]
        assert (split.images.min(), split.images.max()) == (-0.5, 0.5)
    np.testing.assert_array_equal(np.bincount(cifar10.test.labels), np.full(10, 1000))
    train_ids = np.r_[cifar10.train.ids, cifar10.validation.ids]
    np.testing.assert_array_equal(np.sort(train_ids), np.arange(50_000))
    train_labels = np.r_[cifar10.train.labels, cifar10.validation.labels]
    np.testing.assert_array_equal(np.bincount(train_labels), np.full(10, 5000))
    np.testing.assert_array_equal(cifar10.test.ids, np.arange(10_000))


def test_cifar10_known_means(cifar10: Splits):
    """The channel means that everybody normalises CIFAR-10's 50,000 training images with."""
    total = cifar10.train.images.mean(axis=(0, 1, 2), dtype=np.float64) * 0.8
    total += cifar10.validation.images.mean(axis=(0, 1, 2), dtype=np.float64) * 0.2
    np.testing.assert_allclose(total + 0.5, [0.4914, 0.4822, 0.4465], atol=1e-4)


def test_cifar10_digest_sees_one_pixel(cifar10: Splits):
    before = digest(cifar10)
    pixel = cifar10.validation.images[5, 3, 3]
    kept = pixel.copy()
    pixel[1] += 1 / 255 if pixel[1] < 0.4 else -1 / 255
    try:
        assert digest(cifar10) != before
    finally:
        pixel[:] = kept
    assert digest(cifar10) == before


def test_stl10_test_part_is_1000_balanced_images(stl10: Splits):
    assert stl10.spec.image_shape == (96, 96, 3)
    assert len(stl10.spec.class_names) == 10
    assert [len(split.ids) for split in stl10[1:]] == [4000, 1000, 1000]
    np.testing.assert_array_equal(np.bincount(stl10.test.labels), np.full(10, 100))
    assert (np.diff(stl10.test.ids) > 0).all()
    assert stl10.test.images.std() > 0.1


def test_cifar100_has_its_fine_labels_and_all_its_images(cifar100_dir: Path):
    splits = load("cifar100", data_dir=cifar100_dir, seed=0, download=False)
    assert len(splits.spec.class_names) == 100
    assert splits.spec.class_names[:3] == ("apple", "aquarium_fish", "baby")
    assert [split.images.shape for split in splits[1:]] == [(n, 32, 32, 3) for n in (40_000, 10_000, 10_000)]
    np.testing.assert_array_equal(np.bincount(splits.test.labels), np.full(100, 100))
