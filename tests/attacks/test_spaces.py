"""Both search spaces: there and back, never outside the bounds."""

import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.attacks import spaces
from overunlearn_jax.types import Bounds

BOUNDS = [Bounds(-0.5, 0.5), Bounds(0.0, 1.0), Bounds(-2.1, 2.6), Bounds(0.1, 0.7)]
MAKERS = [spaces.tanh_space, spaces.box_space]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("bounds", BOUNDS)
def test_an_image_comes_back(make, bounds):
    image = jnp.linspace(bounds.lower, bounds.upper, 101)  # both bounds included
    space = make(bounds)
    variable = space.from_image(image)
    assert np.isfinite(variable).all()
    # the tanh space shrinks images by 5e-7 of half their range, so that a pixel on a bound has a finite place in it
    np.testing.assert_allclose(space.to_image(variable), image, atol=1e-6 * (bounds.upper - bounds.lower))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("bounds", BOUNDS)
def test_every_variable_is_an_image_inside_the_bounds(make, bounds):
    variable = jnp.array([-jnp.inf, -1e30, -20.0, -1.0, 0.0, 1.0, 20.0, 1e30, jnp.inf])
    image = np.asarray(make(bounds).to_image(variable))
    lower, upper = np.float32(bounds.lower), np.float32(bounds.upper)
    slack = np.spacing(max(abs(lower), abs(upper)))  # middle + half of them may round by one float32
    assert image.min() >= lower - slack
    assert image.max() <= upper + slack
    np.testing.assert_allclose(image[[0, -1]], [lower, upper], atol=slack)


def test_tanh_space_by_hand():
    space = spaces.tanh_space(Bounds(-0.5, 0.5))
    np.testing.assert_allclose(space.to_image(jnp.array([0.0, 1.0])), [0.0, 0.5 * np.tanh(1.0)], atol=1e-7)
    # the public code's own constant: arctanh(1.999999 * pixel)
    pixels = np.array([-0.5, -0.2, 0.0, 0.3, 0.5])
    np.testing.assert_allclose(space.from_image(jnp.array(pixels)), np.arctanh(pixels * 1.999999), rtol=2e-2, atol=1e-6)
    np.testing.assert_allclose(space.from_image(jnp.array(pixels[1:4])), np.arctanh(pixels[1:4] * 1.999999), atol=1e-6)


def test_box_space_is_the_identity_inside():
    image = jnp.array([-0.5, 0.25, 0.5])
    space = spaces.box_space(Bounds(-0.5, 0.5))
    np.testing.assert_array_equal(space.from_image(image), image)
    np.testing.assert_array_equal(space.to_image(image), image)
