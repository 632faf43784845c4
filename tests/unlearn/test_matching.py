"""Matching: the brute-force search's answer whatever float32 makes of it; copies, ties and strangers."""

import numpy as np
import pytest

from overunlearn_jax.types import Split
from overunlearn_jax.unlearn import matching
from overunlearn_jax.unlearn.matching import match_samples, without

SHAPE = (4, 3, 2)


def _split(images):
    return Split(images.astype(np.float32), np.arange(len(images), dtype=np.int32) % 3, np.arange(len(images)) + 100)


def _images(seed, count, low=-0.5, high=0.5):
    return np.random.default_rng(seed).uniform(low, high, (count, *SHAPE)).astype(np.float32)


def _brute_force(images, train):
    """Every pair, pixel by pixel, in float64; the first of equals."""
    rows, distances = [], []
    for image in images.astype(np.float64):
        each = [np.sqrt(np.sum((other.astype(np.float64) - image) ** 2)) for other in train.images]
        rows.append(int(np.argmin(each)))
        distances.append(min(each))
    return np.array(rows), np.array(distances)


def _assert_like_brute_force(images, train):
    rows, distances = _brute_force(images, train)
    matches = match_samples(images, train)
    np.testing.assert_array_equal(matches.rows, rows)
    np.testing.assert_allclose(matches.distances, distances, rtol=1e-6)
    assert matches.rows.dtype == np.int64
    assert matches.distances.dtype == np.float32
    return matches


@pytest.mark.parametrize("blocks", [(1, 1), (3, 7), (1024, 2048)])
def test_the_nearest_is_that_of_brute_force(monkeypatch, blocks):
    monkeypatch.setattr(matching, "_IMAGES", blocks[0])
    monkeypatch.setattr(matching, "_TRAIN", blocks[1])
    _assert_like_brute_force(_images(1, 10), _split(_images(2, 50)))


@pytest.mark.parametrize("offset", [0.0, 100.0, 3000.0])
def test_rounding_in_float32_does_not_choose(offset):
    # far from the origin the squares are so large that differences between candidates drown in float32
    train = _split(offset + _images(2, 60, -0.01, 0.01))
    images = offset + _images(1, 20, -0.01, 0.01)
    _assert_like_brute_force(images, train)
    if offset:
        x, y = images.reshape(20, -1), train.images.reshape(60, -1)
        plain = (x**2).sum(1)[:, None] - 2 * x @ y.T + (y**2).sum(1)
        assert (plain.argmin(1) != _brute_force(images, train)[0]).any()  # what the plain formula would answer


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 4, 3), (9, 7, 2), (30, 1, 1)])
def test_images_of_any_size(shape):
    draws = np.random.default_rng(4)
    train = _split(draws.normal(size=(70, *shape)))
    images = draws.normal(size=(12, *shape)).astype(np.float32)
    _assert_like_brute_force(images, train)
    _assert_like_brute_force(train.images[40:52] + np.float32(0.01) * images, train)


def test_what_averages_cannot_tell_apart_is_measured():
    # chequered squares of any strength have the same averages, and only pixels say which is nearest
    chequers = np.where(np.indices((8, 8)).sum(0) % 2, 1.0, -1.0)[..., None]
    strengths = np.linspace(-1, 1, 90)
    train = _split(strengths[:, None, None, None] * chequers)
    images = (np.linspace(-0.9, 0.9, 7)[:, None, None, None] * chequers).astype(np.float32)
    assert np.ptp(matching.searchable(train).averages) < 1e-6
    _assert_like_brute_force(images, train)


def test_averages_are_no_further_apart_than_images():
    first, second = (np.random.default_rng(seed).normal(size=(50, 9, 10, 3)).astype(np.float32) for seed in (0, 1))
    one, other = (matching.searchable(_split(each)) for each in (first, second))
    apart = np.linalg.norm(one.averages - other.averages, axis=1)
    assert (apart <= np.linalg.norm((first - second).reshape(50, -1), axis=1)).all()
    flat = matching.searchable(_split(np.ones((1, 9, 10, 3))))  # nothing is lost of an even image
    assert float(np.square(flat.averages).sum()) == pytest.approx(9 * 10 * 3)


def test_a_search_made_ready_once_answers_the_same():
    train, ready = _split(_images(2, 200)), matching.searchable(_split(_images(2, 200)))
    for seed in (1, 3):
        for one, other in zip(
            match_samples(_images(seed, 9), train), match_samples(_images(seed, 9), ready), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_what_a_service_still_holds_is_searched_and_all_of_it_made_ready_once(monkeypatch):
    train, images, made = _split(_images(2, 60)), _images(3, 7), []
    whole = matching.searchable
    monkeypatch.setattr(matching, "searchable", lambda split: made.append(len(split.labels)) or whole(split))
    nearest, rest = matching.NearestRows(train), without(train, np.arange(30))
    for held in (train, train, rest):
        np.testing.assert_array_equal(nearest(images, held), _brute_force(images, held)[0])
    assert made == [60, 30]


def test_perturbed_copies_are_found_in_any_order():
    train = _split(_images(2, 200))
    order = np.random.default_rng(0).permutation(200)[:40]
    noise = _images(3, 40, -0.05, 0.05)
    matches = _assert_like_brute_force(train.images[order] + noise, train)
    np.testing.assert_array_equal(matches.rows, order)
    np.testing.assert_allclose(matches.distances, np.sqrt((noise.astype(float) ** 2).sum((1, 2, 3))), rtol=1e-3)


@pytest.mark.parametrize("offset", [0.0, 3000.0])
def test_exact_copies_are_at_distance_zero(offset):
    train = _split(offset + _images(2, 30))
    matches = match_samples(train.images[::-1], train)
    np.testing.assert_array_equal(matches.rows, np.arange(30)[::-1])
    assert (matches.distances == 0).all()


@pytest.mark.parametrize("block", [4, 2048])
def test_the_first_of_equal_training_images_is_taken(monkeypatch, block):
    monkeypatch.setattr(matching, "_TRAIN", block)
    few = _images(2, 3)
    train = _split(few[[2, 0, 1, 0, 2, 1, 0, 1, 2, 0]])
    matches = match_samples(few + np.float32(0.001), train)
    np.testing.assert_array_equal(matches.rows, [1, 2, 0])
    np.testing.assert_array_equal(match_samples(few, train).rows, [1, 2, 0])
    same = _split(np.zeros((9, *SHAPE)))
    np.testing.assert_array_equal(match_samples(few, same).rows, [0, 0, 0])


def test_images_too_far_from_all_have_no_row_but_a_distance():
    train = _split(np.zeros((2, *SHAPE)))
    images = np.zeros((3, *SHAPE), np.float32)
    images[:, 0, 0, 0] = [0.25, 0.5, 0.75]
    matches = match_samples(images, train, most_l2=0.5)
    np.testing.assert_array_equal(matches.rows, [0, 0, -1])
    np.testing.assert_array_equal(matches.distances, np.float32([0.25, 0.5, 0.75]))
    np.testing.assert_array_equal(match_samples(images, train, most_l2=0.0).rows, [-1, -1, -1])
    np.testing.assert_array_equal(match_samples(train.images, train, most_l2=0.0).rows, [0, 0])


def test_no_images_have_no_matches():
    matches = match_samples(_images(1, 0), _split(_images(2, 5)))
    assert matches.rows.shape == matches.distances.shape == (0,)


def test_the_arguments_are_not_changed():
    images, train = _images(1, 5), _split(_images(2, 9))
    before = images.copy(), train.images.copy()
    match_samples(images, train)
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(train.images, before[1])


@pytest.mark.parametrize(
    ("images", "train", "most_l2", "message"),
    [
        (_images(1, 2), _split(_images(2, 0)), 1.0, r"shape \(0, 4, 3, 2\).*at least one of them"),
        (_images(1, 2)[:, :3], _split(_images(2, 4)), 1.0, r"shape \(2, 3, 3, 2\).*\(m, 4, 3, 2\)"),
        (_images(1, 2)[0], _split(_images(2, 4)), 1.0, r"expected \(n, h, w, c\)"),
        (_images(1, 2), _split(_images(2, 4)), -1.0, "most_l2 is -1.0"),
        (_images(1, 2), _split(_images(2, 4)), float("nan"), "most_l2 is nan"),
        (_images(1, 2) * np.float32(np.nan), _split(_images(2, 4)), 1.0, "submitted images hold NaN"),
        (_images(1, 2), _split(_images(2, 4) * np.float32(np.inf)), 1.0, "training images hold NaN"),
        (_images(1, 2) * np.float32(1e25), _split(_images(2, 4)), 1.0, "submitted images hold NaN.*too large"),
    ],
)
def test_what_cannot_be_matched_says_why(images, train, most_l2, message):
    with pytest.raises(ValueError, match=message):
        match_samples(images, train, most_l2=most_l2)


def test_what_is_left_of_a_split():
    train = _split(_images(2, 6))
    left = without(train, np.array([4, 1, 4]))
    for part, whole in zip(left, train, strict=True):
        np.testing.assert_array_equal(part, whole[[0, 2, 3, 5]])
        assert part.dtype == whole.dtype
    assert len(without(train, np.zeros(0, np.int64)).labels) == 6
    left.images[:] = 0
    assert train.images.any()


@pytest.mark.parametrize("rows", [[-1, 2], [6], [0.5], [[0, 1]], [True] * 6])
def test_rows_outside_a_split_are_refused(rows):
    with pytest.raises(ValueError, match=r"expected a vector of integers in 0 \.\.\. 5: leave out the -1"):
        without(_split(_images(2, 6)), np.array(rows))
