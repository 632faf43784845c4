"""The control of a push: noise of the very same length."""

import jax
import numpy as np
import pytest

from overunlearn_jax.attacks import noise_of_length
from tests.reference.small_victims import COLOURED, random_images, small_spec

SPEC = small_spec(COLOURED)
LENGTHS = np.array([0.05, 0.3, 1.0, 1.7])


def _distance(noisy, images):
    return np.sqrt(((np.asarray(noisy, np.float64) - images) ** 2).sum((1, 2, 3)))


def test_noise_has_the_length_and_stays_inside():
    images = random_images(0, 4, SPEC)
    noisy = noise_of_length(jax.random.key(0), images, LENGTHS, SPEC.bounds)
    np.testing.assert_allclose(_distance(noisy, images), LENGTHS, rtol=1e-4)
    assert noisy.min() >= SPEC.bounds.lower
    assert noisy.max() <= SPEC.bounds.upper


def test_length_is_right_where_every_pixel_is_on_a_bound():
    # about half of the noise points outwards and is clipped away: unscaled, 30 % of the length would be missing
    images = np.full((4, *SPEC.image_shape), SPEC.bounds.upper, np.float32)
    images[::2] = SPEC.bounds.lower
    noisy = np.asarray(noise_of_length(jax.random.key(1), images, LENGTHS, SPEC.bounds))
    np.testing.assert_allclose(_distance(noisy, images), LENGTHS, rtol=1e-4)
    assert (noisy == images).mean() > 0.3  # those that were clipped
    assert noisy.min() >= SPEC.bounds.lower
    assert noisy.max() <= SPEC.bounds.upper


def test_each_key_and_each_image_has_noise_of_its_own():
    images = np.zeros((2, *SPEC.image_shape), np.float32)
    one = np.asarray(noise_of_length(jax.random.key(0), images, np.ones(2), SPEC.bounds))
    again = np.asarray(noise_of_length(jax.random.key(0), images, np.ones(2), SPEC.bounds))
    other = np.asarray(noise_of_length(jax.random.key(1), images, np.ones(2), SPEC.bounds))
    np.testing.assert_array_equal(one, again)
    for first, second in [(one[0], one[1]), (one, other)]:
        cosine = (first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum())
        assert abs(cosine) < 0.5  # four standard errors of the cosine of two random directions in 48 dimensions: 0.58


def test_length_zero_leaves_the_image():
    images = random_images(2, 1, SPEC)
    noisy = noise_of_length(jax.random.key(0), images, np.zeros(1), SPEC.bounds)
    np.testing.assert_allclose(noisy, images, atol=1e-7)


def test_a_length_that_does_not_fit_gives_the_farthest_image():
    images = np.zeros((1, *SPEC.image_shape), np.float32)
    noisy = noise_of_length(jax.random.key(0), images, np.array([1e6]), SPEC.bounds)
    assert _distance(noisy, images)[0] == pytest.approx(0.5 * np.sqrt(48), rel=1e-2)
