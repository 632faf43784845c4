import numpy as np
import pytest

from overunlearn_jax.data.source import Part, Source
from overunlearn_jax.data.splitting import balanced_positions, held_out_positions, make_splits


def source_of(images: np.ndarray, labels: np.ndarray, test: Part | None = None) -> Source:
    names = tuple(f"class {label}" for label in range(int(labels.max()) + 1))
    return Source("mine", names, Part(images, labels), test, origin="somewhere")


def numbered_images(count: int) -> np.ndarray:
    """Image i holds the value i everywhere."""
    return np.tile(np.arange(count, dtype=np.uint8)[:, None, None, None], (1, 2, 3, 1))


def test_official_test_part_is_kept_whole_and_in_order():
    test = Part(numbered_images(7), np.array([0, 1, 1, 0, 0, 1, 0]))
    splits = make_splits(source_of(numbered_images(20), np.arange(20) % 2, test), seed=3)
    np.testing.assert_array_equal(splits.test.ids, np.arange(7))
    np.testing.assert_array_equal(splits.test.labels, test.labels)
    assert (len(splits.train.ids), len(splits.validation.ids)) == (16, 4)
    np.testing.assert_array_equal(np.sort(np.r_[splits.train.ids, splits.validation.ids]), np.arange(20))


@pytest.mark.parametrize("held_out", [True, False])
def test_each_sample_keeps_its_own_image_label_and_id(held_out: bool):
    labels = np.random.default_rng(0).permutation(np.arange(100) % 5)
    test = None if held_out else Part(numbered_images(10), labels[:10])
    splits = make_splits(source_of(numbered_images(100), labels, test), seed=0)
    for split in splits[1:]:
        np.testing.assert_allclose(split.images[:, 1, 2, 0], split.ids / 255 - 0.5, atol=1e-7)
        np.testing.assert_array_equal(split.labels, labels[split.ids])
        assert [array.dtype for array in split] == [np.float32, np.int32, np.int64]


def test_uint8_extremes_reach_the_bounds_exactly_and_floats_are_shifted():
    images = numbered_images(20)
    images[0], images[1] = 0, 255
    splits = make_splits(source_of(images, np.arange(20) % 2), seed=0)
    values = np.concatenate([split.images.ravel() for split in splits[1:]])
    assert (values.min(), values.max()) == splits.spec.bounds == (-0.5, 0.5)
    floats = make_splits(source_of(images / 255, np.arange(20) % 2), seed=0)
    np.testing.assert_allclose(floats.train.images, splits.train.images, atol=1e-7)


def test_held_out_positions_are_stratified_and_fixed():
    labels = np.repeat([0, 1, 2, 3], [50, 10, 8, 1])
    positions = held_out_positions(labels)
    np.testing.assert_array_equal(np.bincount(labels[positions], minlength=4), [10, 2, 2, 0])
    np.testing.assert_array_equal(positions, held_out_positions(labels))
    assert (np.diff(positions) > 0).all()
    first_class = np.random.default_rng(0).permutation(50)[:10]  # the documented rule, by hand
    np.testing.assert_array_equal(positions[:10], np.sort(first_class))


def test_seed_moves_train_and_validation_but_not_the_held_out_test():
    source = source_of(numbered_images(100), np.arange(100) % 5)
    first, again, other = (make_splits(source, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.train.ids, again.train.ids)
    assert set(first.validation.ids) != set(other.validation.ids)
    np.testing.assert_array_equal(first.test.ids, other.test.ids)
    every_id = np.concatenate([split.ids for split in first[1:]])
    np.testing.assert_array_equal(np.sort(every_id), np.arange(100))


def test_max_test_takes_the_first_of_each_class():
    labels = np.array([2, 0, 0, 1, 0, 1, 2, 2, 1, 0])
    np.testing.assert_array_equal(balanced_positions(labels, 6), [0, 1, 2, 3, 5, 6])
    np.testing.assert_array_equal(balanced_positions(labels, 8), [0, 1, 2, 3, 5, 6])
    np.testing.assert_array_equal(balanced_positions(labels, 10), np.arange(10))
    test = Part(numbered_images(10), labels)
    splits = make_splits(source_of(numbered_images(30), np.arange(30) % 3, test), seed=0, max_test=6)
    np.testing.assert_array_equal(splits.test.ids, [0, 1, 2, 3, 5, 6])
    np.testing.assert_array_equal(splits.test.labels, labels[[0, 1, 2, 3, 5, 6]])


def test_too_few_images_to_split():
    with pytest.raises(ValueError, match=r"somewhere: 2 training images .* 0 to test, .* Add images"):
        make_splits(source_of(numbered_images(2), np.array([0, 1])), seed=0)


def check(images: np.ndarray, labels: np.ndarray, test: Part | None = None) -> None:
    make_splits(Source("mine", ("a", "b"), Part(images, labels), test, origin="somewhere"), seed=0)


GOOD = numbered_images(20)
LABELS = np.arange(20) % 2


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (GOOD[:, 0, 0], r"shape \(20, 1\), expected \[n, h, w, c\]"),
        (GOOD[:0], r"no side of length 0"),
        (np.zeros((20, 3, 32, 32), np.uint8), r"looks like \[n, c, h, w\].*transpose\(0, 2, 3, 1\)"),
        (GOOD.astype(np.int64), r"dtype int64, expected uint8 in 0..255 or float.*astype"),
        (GOOD.astype(np.float32), r"range from 0 to 19, expected values in \[0, 1\].*Rescale"),
        (GOOD / 19 - 0.5, r"range from -0.5 to 0.5, expected values in \[0, 1\]"),
        (np.where(GOOD == 3, np.nan, 0.5), r"hold NaN or infinity.*Clean"),
        (np.where(GOOD == 3, np.inf, 0.5), r"hold NaN or infinity"),
    ],
)
def test_unusable_images(images: np.ndarray, message: str):
    with pytest.raises(ValueError, match=f"somewhere, training part: .*{message}"):
        check(images, LABELS)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS.astype(np.float32), r"labels are float32 .* expected 20 integers.*labels\.astype\(np\.int64\)"),
        (LABELS + 0.5, r"labels are float64 .*a class has a whole number, and some of these are none"),
        (LABELS.astype(bool), r"labels are bool .*labels\.astype"),
        (np.array(["cat", "dog"])[LABELS], r"labels are <U3 .*labels = np\.unique\(labels, return_inverse=True\)"),
        (np.eye(2, dtype=int)[LABELS], r"labels are int64 of shape \(20, 2\).*one-hot .*labels\.argmax\(1\)"),
        (LABELS[:19], r"shape \(19,\); expected 20 integers, one an image: give as many labels as images"),
        (LABELS[:, None], r"shape \(20, 1\).*labels\[:, 0\]"),
        (LABELS - 1, r"lie in -1 \.\.\. 0; expected 0 \.\.\. 1: -1 often stands for samples without a label"),
        (LABELS + 1, r"lie in 1 \.\.\. 2; expected 0 \.\.\. 1: they begin at 1, so subtract 1"),
        (LABELS * 9, r"lie in 0 \.\.\. 9; expected 0 \.\.\. 1: number them without gaps"),
        (np.zeros(20, int), r"no image of class\(es\) \['b'\].*lie in 0 \.\.\. 0.*leave out the names of classes"),
    ],
)
def test_unusable_labels(labels: np.ndarray, message: str):
    with pytest.raises(ValueError, match=f"somewhere, training part: .*{message}"):
        check(GOOD, labels)


def test_unusable_test_part():
    with pytest.raises(ValueError, match=r"test part: labels lie in -1"):
        check(GOOD, LABELS, Part(GOOD, LABELS - 1))
    with pytest.raises(ValueError, match=r"shape \(2, 3, 1\) and test images \(1, 3, 1\).*Resize"):
        check(GOOD, LABELS, Part(GOOD[:, :1], LABELS))
    check(GOOD, LABELS, Part(GOOD[:1], LABELS[:1]))  # a class may be missing from the test part


def test_class_names_must_differ():
    with pytest.raises(ValueError, match=r"must differ, but \['a'\]"):
        make_splits(Source("mine", ("a", "a"), Part(GOOD, LABELS), None, origin="somewhere"), seed=0)
