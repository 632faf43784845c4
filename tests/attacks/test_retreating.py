"""Going back to what a gate accepts: known lines, gates that accept everything or nothing, wrong answers."""

import numpy as np
import pytest

from overunlearn_jax.attacks.retreating import retreat

DRAWS = np.random.default_rng(0)
ORIGINALS = DRAWS.uniform(-0.5, 0.5, (5, 3, 3, 2)).astype(np.float32)
PUSHED = DRAWS.uniform(-0.5, 0.5, (5, 3, 3, 2)).astype(np.float32)


def distances(images):
    return np.sqrt(((images - ORIGINALS) ** 2).sum((1, 2, 3)))


def test_as_far_as_a_ball_around_the_original_reaches():
    radius = 0.4 * distances(PUSHED)
    found = retreat(lambda images: distances(images) <= radius, ORIGINALS, PUSHED, steps=12)
    assert found.accepted.all()
    np.testing.assert_allclose(found.shares, 0.4, atol=2**-12)
    assert (found.shares <= 0.4).all()
    np.testing.assert_allclose(distances(found.images), found.shares * distances(PUSHED), rtol=1e-4)


def test_each_sample_has_its_own_share():
    shares = np.array([0.0, 0.125, 0.5, 0.75, 1.0])
    radius = shares * distances(PUSHED) * (1 + 1e-5)
    found = retreat(lambda images: distances(images) <= radius, ORIGINALS, PUSHED, steps=3)
    np.testing.assert_array_equal(found.shares, shares)
    np.testing.assert_array_equal(found.images[4], PUSHED[4])
    np.testing.assert_array_equal(found.images[0], ORIGINALS[0])


def test_nothing_is_asked_once_all_pushed_images_are_accepted():
    asked = []

    def accepts(images):
        asked.append(len(images))
        return np.ones(len(images), bool)

    retreat(accepts, ORIGINALS, PUSHED, steps=7)
    assert asked == [5, 5]  # the pushed images, and the originals


def test_everything_and_nothing():
    every = retreat(lambda images: np.ones(len(images), bool), ORIGINALS, PUSHED)
    np.testing.assert_array_equal(every.images, PUSHED)
    none = retreat(lambda images: np.zeros(len(images), bool), ORIGINALS, PUSHED)
    np.testing.assert_array_equal(none.images, ORIGINALS)
    assert not none.accepted.any()
    assert every.accepted.all()


def test_a_pushed_image_that_is_accepted_stays_though_the_original_is_not():
    found = retreat(lambda images: distances(images) > 1e-3, ORIGINALS, PUSHED)
    np.testing.assert_array_equal(found.images, PUSHED)
    assert found.accepted.all()


@pytest.mark.parametrize("answer", [np.ones(4, bool), np.ones(5), np.ones((5, 1), bool)])
def test_what_is_no_answer(answer):
    with pytest.raises(ValueError, match="expected a boolean for 5 images"):
        retreat(lambda images: answer, ORIGINALS, PUSHED)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="expected \\(n, h, w, c\\) twice"):
        retreat(lambda images: np.ones(len(images), bool), ORIGINALS, PUSHED[:3])
    with pytest.raises(ValueError, match="steps is -1"):
        retreat(lambda images: np.ones(len(images), bool), ORIGINALS, PUSHED, steps=-1)
