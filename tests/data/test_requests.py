import numpy as np
import pytest

from overunlearn_jax.data import candidates, class_index, request_size, take
from overunlearn_jax.types import Bounds, DatasetSpec, Split


@pytest.fixture
def split() -> Split:
    """100 samples, 40 of class 0, 50 of class 1, 10 of class 3, none of class 2; ids start at 1000."""
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 3], [40, 50, 10])).astype(np.int32)
    images = np.arange(100, dtype=np.float32).reshape(100, 1, 1, 1) / 200
    return Split(images, labels, np.arange(1000, 1100))


def test_candidates_are_the_class_in_an_order_by_seed(split: Split):
    first = candidates(split, 1, seed=5)
    assert first.dtype == np.int64
    np.testing.assert_array_equal(np.sort(first), np.flatnonzero(split.labels == 1))
    np.testing.assert_array_equal(first, candidates(split, 1, seed=5))
    assert first.tolist() != candidates(split, 1, seed=6).tolist()
    assert first.tolist() != sorted(first.tolist())


def test_candidates_do_not_depend_on_other_classes(split: Split):
    relabelled = split._replace(labels=np.where(split.labels == 1, 1, 7).astype(np.int32))
    np.testing.assert_array_equal(candidates(split, 1, seed=0), candidates(relabelled, 1, seed=0))


@pytest.mark.parametrize(
    ("label", "fraction", "expected"),
    [
        (1, 0.05, 2),
        (1, 0.1, 5),
        (0, 0.05, 2),
        (0, 0.06, 2),
        (0, 0.07, 3),
        (3, 0.001, 1),
        (3, 1.0, 10),
        (0, 1, 40),
    ],
)
def test_request_size(split: Split, label: int, fraction: float, expected: int):
    assert request_size(split, label, fraction) == expected


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, 5, float("nan")])
def test_fraction_outside_its_range(split: Split, fraction: float):
    with pytest.raises(ValueError, match=rf"fraction is {fraction}, expected .* For 5 % write 0.05"):
        request_size(split, 0, fraction)


@pytest.mark.parametrize("label", [2, 4, -1])
def test_class_without_samples(split: Split, label: int):
    message = rf"class {label} has no sample among the 100 .*Classes with samples: \[0, 1, 3\]\. Choose"
    with pytest.raises(ValueError, match=message):
        request_size(split, label, 0.5)
    with pytest.raises(ValueError, match=message):
        candidates(split, label, seed=0)


def test_negative_seed(split: Split):
    with pytest.raises(ValueError, match=r"seed is -1, expected an integer >= 0"):
        candidates(split, 0, seed=-1)


def test_take_keeps_order_and_copies(split: Split):
    taken = take(split, np.array([7, 3, 7], dtype=np.uint8))
    np.testing.assert_array_equal(taken.ids, [1007, 1003, 1007])
    np.testing.assert_array_equal(taken.labels, split.labels[[7, 3, 7]])
    np.testing.assert_array_equal(taken.images, split.images[[7, 3, 7]])
    taken.images[:] = 0
    assert split.images[7].item() == pytest.approx(7 / 200)
    assert take(split, np.array([])).images.shape == (0, 1, 1, 1)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (np.array([0.0, 1.0]), "dtype float64 and shape"),
        (np.ones(100, bool), "dtype bool .*np.flatnonzero"),
        (np.array([[1]]), r"shape \(1, 1\), expected a 1-d array"),
        (np.array([0, 100]), r"range from 0 to 100, expected 0..99: positions within this split, not ids"),
        (np.array([-1]), r"range from -1 to -1"),
    ],
)
def test_take_refuses_what_numpy_would_misread(split: Split, positions: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        take(split, positions)


def spec_of(*names: str) -> DatasetSpec:
    return DatasetSpec("mine", (1, 1, 1), Bounds(-0.5, 0.5), names)


@pytest.mark.parametrize(("text", "expected"), [("cat", 0), ("CAT", 0), (" dog ", 1), ("0", 0), ("2", 2), ("02", 2)])
def test_class_index(text: str, expected: int):
    assert class_index(spec_of("cat", "Dog", "frog"), text) == expected


def test_names_win_over_numbers_and_exact_names_over_folded_ones():
    assert class_index(spec_of("1", "0"), "1") == 0
    assert class_index(spec_of("a", "A"), "A") == 1
    with pytest.raises(ValueError, match=r"Did you mean 'ab' or 'aB'\?"):
        class_index(spec_of("ab", "aB"), "AB")


@pytest.mark.parametrize("text", ["3", "-1", "1.0", "", "airplan"])
def test_unknown_class(text: str):
    message = rf"mine has no class '{text}', expected a class name or a number 0..2"
    with pytest.raises(ValueError, match=message) as info:
        class_index(spec_of("airplane", "Dog", "frog"), text)
    assert "Classes: 0 airplane, 1 Dog, 2 frog." in str(info.value)
    assert ("Did you mean 'airplane'?" in str(info.value)) == (text == "airplan")


def test_at_most_20_class_names_are_shown():
    names = [f"name{number}" for number in range(100)]
    with pytest.raises(ValueError, match=r"19 name19 and 80 more\.$") as info:
        class_index(spec_of(*names), "x")
    assert "name20" not in str(info.value)
