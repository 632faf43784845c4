"""The package's images in a service's own format, beside formulas written out by hand."""

import pickle

import numpy as np
import pytest

from overunlearn_jax.services.pixels import PixelFormat
from overunlearn_jax.types import Bounds

BOUNDS = Bounds(-0.5, 0.5)
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(*BOUNDS, (5, 4, 3, 2)).astype(np.float32)
IMAGES[0, 0, 0] = BOUNDS


def test_the_default_changes_nothing_and_copies():
    sent = PixelFormat().to_service(IMAGES, BOUNDS)
    np.testing.assert_array_equal(sent, IMAGES)
    assert sent.dtype == np.float32
    sent[:] = 9
    assert IMAGES.max() <= 0.5


def test_layouts():
    channels_first = PixelFormat("NCHW").to_service(IMAGES, BOUNDS)
    assert channels_first.shape == (5, 2, 4, 3)
    assert channels_first.flags.c_contiguous
    flat = PixelFormat("flat").to_service(IMAGES, BOUNDS)
    assert flat.shape == (5, 24)
    for n, row, column, channel in np.ndindex(IMAGES.shape):
        assert channels_first[n, channel, row, column] == IMAGES[n, row, column, channel]
        assert flat[n, (row * 3 + column) * 2 + channel] == IMAGES[n, row, column, channel]


@pytest.mark.parametrize("bounds", [BOUNDS, Bounds(-1.0, 1.0), Bounds(0.0, 0.1)])
def test_ranges(bounds):
    images = (IMAGES + 0.5) * (bounds.upper - bounds.lower) + bounds.lower
    unit = PixelFormat(range="unit").to_service(images, bounds)
    np.testing.assert_allclose(unit, IMAGES + 0.5, atol=1e-6)
    assert unit.dtype == np.float32
    assert (unit.min(), unit.max()) == (0, 1)
    bytes_ = PixelFormat(range="8bit").to_service(images, bounds)
    assert bytes_.dtype == np.uint8
    assert (bytes_.min(), bytes_.max()) == (0, 255)
    np.testing.assert_allclose(bytes_, 255 * (IMAGES + 0.5), atol=0.5 + 1e-4)


def test_every_8_bit_pixel_comes_back_as_it_was():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    images = (pixels / 255 - 0.5).astype(np.float32)
    np.testing.assert_array_equal(PixelFormat(range="8bit").to_service(images, BOUNDS), pixels)
    # The paper's finite difference, on images that came from 8-bit pixels: nothing of it is left.
    inside = np.clip(images + 1e-4, *BOUNDS)
    np.testing.assert_array_equal(PixelFormat(range="8bit").to_service(inside, BOUNDS), pixels)
    further = np.clip(images + 1e-2, *BOUNDS)
    assert (PixelFormat(range="8bit").to_service(further, BOUNDS) > pixels).mean() > 0.98


def test_mean_and_std_are_torchvisions_normalize():
    mean, std = (0.485, 0.456), (0.229, 0.224)
    sent = PixelFormat("NCHW", "unit", mean, std).to_service(IMAGES, BOUNDS)
    # torchvision.transforms.functional.normalize: tensor.sub_(mean[:, None, None]).div_(std[:, None, None])
    tensor = (IMAGES + 0.5).transpose(0, 3, 1, 2)
    expected = (tensor - np.array(mean)[:, None, None]) / np.array(std)[:, None, None]
    np.testing.assert_allclose(sent, expected, rtol=1e-5, atol=1e-6)
    assert sent.dtype == np.float32
    only_mean = PixelFormat(range="unit", mean=[0.5, 0.25]).to_service(IMAGES, BOUNDS)
    np.testing.assert_allclose(only_mean, IMAGES + 0.5 - [0.5, 0.25], atol=1e-6)


def test_formats_are_compared_hashed_and_sent():
    one = PixelFormat("NCHW", "unit", mean=[0.5], std=np.array([0.25]))
    assert one == PixelFormat("NCHW", "unit", mean=(0.5,), std=(0.25,))
    assert len({one, pickle.loads(pickle.dumps(one))}) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layout": "CHW"}, "layout is 'CHW'; expected one of NHWC, NCHW, flat"),
        ({"range": "0..1"}, "range is '0..1'; expected one of signed, unit, 8bit"),
        ({"mean": (0.5,)}, "range='signed', and are of pixels in \\[0, 1\\]: say range='unit'"),
        ({"range": "8bit", "std": (0.5,)}, "range='8bit', and are of pixels in \\[0, 1\\]"),
        ({"range": "unit", "mean": 0.5}, "mean is 0.5; expected a sequence of numbers"),
        ({"range": "unit", "mean": ()}, "mean is \\(\\); expected finite numbers"),
        ({"range": "unit", "mean": (np.nan,)}, "expected finite numbers"),
        ({"range": "unit", "std": (0.0,)}, "std is \\(0.0,\\); expected finite positive numbers"),
        ({"range": "unit", "mean": (0.5,), "std": (1, 1, 1)}, "mean is of 1 channels and std of 3"),
    ],
)
def test_wrong_formats(arguments, message):
    with pytest.raises(ValueError, match=message):
        PixelFormat(**arguments)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES[0], r"images are float32 of shape \(4, 3, 2\); expected floats of shape \(n, h, w, c\)"),
        (np.zeros((1, 4, 3, 2), np.uint8), "images are uint8"),
        (IMAGES + 0.5, r"pixels lie in .*inside the bounds \[-0.5, 0.5\]"),
        (np.full((1, 4, 3, 2), np.nan), "inside the bounds"),
    ],
)
def test_wrong_images(images, message):
    with pytest.raises(ValueError, match=message):
        PixelFormat("NCHW").to_service(images, BOUNDS)


def test_wrong_number_of_channels():
    with pytest.raises(ValueError, match="mean is of 3 channels; the images have 2"):
        PixelFormat(range="unit", mean=(0.5, 0.5, 0.5)).to_service(IMAGES, BOUNDS)
