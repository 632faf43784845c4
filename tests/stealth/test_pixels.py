"""Distance, similarity and label agreement, by hand and against scikit-image."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from overunlearn_jax.stealth.pixels import from_8_bits, l2_distances, label_agreement, ssim, to_8_bits
from overunlearn_jax.types import Bounds

BOUNDS = Bounds(0.0, 1.0)


def _pairs(channels, side=12):
    rng = np.random.default_rng(0)
    originals = rng.uniform(0, 1, (3, side, side, channels)).astype(np.float32)
    noise = rng.normal(size=originals.shape) * np.array([0.01, 0.1, 0.4])[:, None, None, None]
    return originals, np.clip(originals + noise, 0, 1).astype(np.float32)


def test_l2_is_the_length_of_the_change():
    originals = np.zeros((3, 2, 2, 1), np.float32)
    submitted = originals.copy()
    submitted[0, 0, 0, 0], submitted[0, 1, 1, 0] = 3, 4
    submitted[1] = 0.5
    distances = l2_distances(originals, submitted)
    np.testing.assert_allclose(distances, [5, 1, 0])
    assert distances.shape == (3,)
    np.testing.assert_array_equal(l2_distances(submitted, originals), distances)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_of_equal_images_is_one(channels):
    originals, _ = _pairs(channels)
    np.testing.assert_allclose(ssim(originals, originals, BOUNDS), np.ones(3), atol=1e-12)


def test_ssim_of_greyscale_images_is_that_of_scikit_image():
    originals, submitted = _pairs(1)
    expected = [
        structural_similarity(a[..., 0], b[..., 0], data_range=1.0) for a, b in zip(originals, submitted, strict=True)
    ]
    similarity = ssim(originals, submitted, BOUNDS)
    np.testing.assert_allclose(similarity, expected, rtol=1e-6)
    assert 1 > similarity[0] > similarity[1] > similarity[2]


def test_ssim_of_colour_images_is_the_mean_over_the_channels():
    originals, submitted = _pairs(3)
    expected = [
        np.mean([structural_similarity(a[..., c], b[..., c], data_range=1.0) for c in range(3)])
        for a, b in zip(originals, submitted, strict=True)
    ]
    np.testing.assert_allclose(ssim(originals, submitted, BOUNDS), expected, rtol=1e-6)


@pytest.mark.parametrize("bounds", [Bounds(-0.5, 0.5), Bounds(-1.0, 1.0), Bounds(0.0, 255.0)])
def test_ssim_does_not_depend_on_the_units_of_the_pixels(bounds):
    # its luminance term is made for intensities that begin at 0
    originals, submitted = _pairs(3)
    scaled = [bounds.lower + (bounds.upper - bounds.lower) * images for images in (originals, submitted)]
    np.testing.assert_allclose(ssim(*scaled, bounds), ssim(originals, submitted, BOUNDS), rtol=1e-4)


def test_ssim_by_its_formula_where_the_window_is_the_image():
    originals, submitted = (images.astype(np.float64) for images in _pairs(1, side=7))
    a, b = (images.reshape(3, 49) for images in (originals, submitted))
    c1, c2 = 0.01**2, 0.03**2
    covariance = ((a - a.mean(1, keepdims=True)) * (b - b.mean(1, keepdims=True))).sum(1) / 48
    similar = (2 * a.mean(1) * b.mean(1) + c1) * (2 * covariance + c2)
    scale = (a.mean(1) ** 2 + b.mean(1) ** 2 + c1) * (a.var(1, ddof=1) + b.var(1, ddof=1) + c2)
    np.testing.assert_allclose(ssim(originals, submitted, BOUNDS), similar / scale, rtol=1e-9)


@pytest.mark.parametrize("shape", [(2, 6, 8, 1), (2, 8, 6, 3)])
def test_ssim_of_images_smaller_than_the_window_is_refused(shape):
    images = np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match=rf"at least 7x7.*\({shape[1]}, {shape[2]}\)"):
        ssim(images, images, BOUNDS)


def test_ssim_needs_as_many_images_as_originals():
    originals, submitted = _pairs(1)
    with pytest.raises(ValueError, match="zip"):
        ssim(originals, submitted[:2], BOUNDS)


def test_label_agreement_is_the_share_of_equal_labels():
    assert label_agreement(np.array([0, 1, 2, 3]), np.array([0, 1, 2, 0])) == 0.75
    assert label_agreement(np.array([1]), np.array([0])) == 0.0


@pytest.mark.parametrize("bounds", [Bounds(-0.5, 0.5), Bounds(0.0, 1.0), Bounds(-1.0, 1.0)])
def test_8_bits_and_back(bounds):
    every = np.arange(256, dtype=np.uint8)
    images = from_8_bits(every, bounds)
    assert images.dtype == np.float32
    assert (images[0], images[-1]) == bounds
    np.testing.assert_array_equal(to_8_bits(images, bounds), every)
    step = (bounds.upper - bounds.lower) / 255
    np.testing.assert_array_equal(to_8_bits(images[1:-1] + 0.4 * step, bounds), every[1:-1])
    np.testing.assert_array_equal(to_8_bits(images[1:-1] + 0.6 * step, bounds), every[2:])
