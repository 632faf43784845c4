"""Blends worked out by hand."""

import numpy as np
import pytest

from overunlearn_jax.attacks import blend
from tests.reference.small_victims import random_images, small_spec

IMAGES = random_images(0, 3, small_spec())
OTHERS = random_images(1, 3, small_spec())


def test_limits_are_the_images_and_the_others():
    np.testing.assert_array_equal(blend(IMAGES, OTHERS, 0), IMAGES)
    np.testing.assert_array_equal(blend(IMAGES, OTHERS, 1), OTHERS)


def test_a_higher_ratio_shows_more_of_the_other():
    blended = blend(IMAGES, OTHERS, 0.3)
    np.testing.assert_allclose(blended, 0.7 * IMAGES + 0.3 * OTHERS, atol=1e-7)
    assert blended.dtype == np.float32


@pytest.mark.parametrize("ratio", [-0.1, 1.5, 30, float("nan")])
def test_a_ratio_outside_zero_to_one_is_refused(ratio):
    with pytest.raises(ValueError, match=str(ratio)):
        blend(IMAGES, OTHERS, ratio)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 6, 6, 1\) and others \(1, 6, 6, 1\)"):
        blend(IMAGES, OTHERS[:1], 0.5)
