"""Replacement images: inside the bounds, one for all or one each."""

import jax
import numpy as np
import pytest

from overunlearn_jax.types import Bounds
from overunlearn_jax.unlearn import FIDELITIES, REPLACEMENTS, replacement_images

BOUNDS = Bounds(-0.5, 1.5)
IMAGES = np.zeros((20, 4, 4, 3), np.float32)


def _replaced(name, seed=0):
    images = replacement_images(name, jax.random.key(seed), IMAGES, BOUNDS)
    assert images.shape == IMAGES.shape
    assert images.dtype == np.float32
    return np.asarray(images)


def test_noise_is_uniform_and_differs_between_samples():
    noise = _replaced("noise")
    assert len(np.unique(noise.reshape(20, -1), axis=0)) == 20
    counts, _ = np.histogram(noise, bins=8, range=BOUNDS)
    assert counts.sum() == noise.size == 960  # nothing outside the bounds
    statistic = ((counts - 120) ** 2 / 120).sum()
    assert statistic < 24.3  # chi-square, 7 degrees of freedom, 0.1 %
    assert not np.array_equal(noise, _replaced("noise", seed=1))


def test_one_noise_is_the_same_for_all_samples():
    noise = _replaced("one_noise")
    np.testing.assert_array_equal(noise, np.broadcast_to(noise[:1], noise.shape))
    assert len(np.unique(noise[0])) > 40
    assert noise.min() >= BOUNDS.lower
    assert noise.max() <= BOUNDS.upper
    assert np.ptp(noise) > 1.5
    assert not np.array_equal(noise, _replaced("one_noise", seed=1))


@pytest.mark.parametrize(("name", "value"), [("black", -0.5), ("white", 1.5)])
def test_plain_images(name, value):
    np.testing.assert_array_equal(_replaced(name), np.full(IMAGES.shape, value, np.float32))


def test_none_puts_nothing_in_their_place():
    assert replacement_images("none", jax.random.key(0), IMAGES, BOUNDS) is None


def test_another_name_is_refused():
    with pytest.raises(ValueError, match=r"'grey'.*none, noise, one_noise, black, white"):
        replacement_images("grey", jax.random.key(0), IMAGES, BOUNDS)


def test_the_readings_name_replacements_that_exist():
    assert set(FIDELITIES) == {"equation", "authors_code", "corrected"}
    assert all(reading.replacement in REPLACEMENTS and reading.explanation for reading in FIDELITIES.values())
    by_name = {name: (reading.replacement, reading.last_partial_batch_only) for name, reading in FIDELITIES.items()}
    assert by_name == {"equation": ("noise", False), "authors_code": ("one_noise", True), "corrected": ("none", False)}
