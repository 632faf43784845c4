"""Images stored anew: against Pillow's own files, and what each way leaves as it was."""

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from overunlearn_jax.defences import RE_ENCODINGS, re_encoded
from overunlearn_jax.types import Bounds

UNIT = Bounds(0.0, 1.0)
PIXELS = load_sample_image("china.jpg")[100:140, 200:248]
COLOUR = (PIXELS[None] / 255).astype(np.float32)
GREY = COLOUR[..., :1]


@pytest.mark.parametrize("images", [COLOUR, GREY], ids=["colour", "grey"])
@pytest.mark.parametrize("how", RE_ENCODINGS)
def test_each_gives_8_bit_images_that_look_alike(how, images):
    back = re_encoded(images, UNIT, how)
    assert (back.shape, back.dtype) == (images.shape, np.float32)
    np.testing.assert_allclose(back * 255, np.rint(back * 255), atol=1e-3)
    error = np.sqrt(np.mean((back - images) ** 2))
    assert (error == 0) if how == "png" else 0 < error < images.std()


@pytest.mark.parametrize(
    ("how", "form", "quality"), [("jpeg95", "JPEG", 95), ("jpeg75", "JPEG", 75), ("webp", "WEBP", 80)]
)
def test_files_are_those_of_pillow(how, form, quality):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, form, quality=quality)
    np.testing.assert_array_equal(
        np.rint(re_encoded(COLOUR, UNIT, how)[0] * 255), np.asarray(Image.open(file).convert("RGB"))
    )


def test_resized_is_that_of_pillow():
    picture = Image.fromarray(PIXELS)
    there = picture.resize((24, 20), Image.Resampling.BICUBIC).resize((48, 40), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(np.rint(re_encoded(COLOUR, UNIT, "resized")[0] * 255), np.asarray(there))


def test_cropped_brighter_and_rounded():
    cropped = re_encoded(COLOUR, UNIT, "cropped")
    np.testing.assert_array_equal(cropped[:, 1:-1, 1:-1], re_encoded(COLOUR, UNIT, "png")[:, 1:-1, 1:-1])
    np.testing.assert_array_equal(cropped[:, 0, 1:-1], cropped[:, 1, 1:-1])
    np.testing.assert_array_equal(cropped[:, :, -1], cropped[:, :, -2])
    np.testing.assert_allclose(re_encoded(COLOUR, UNIT, "brighter"), np.minimum(COLOUR * 1.02, 1), atol=0.51 / 255)
    np.testing.assert_allclose(re_encoded(np.full((1, 2, 2, 1), 0.1234), UNIT, "png"), 31 / 255, rtol=1e-6)


def test_bounds_are_kept():
    wide = Bounds(-1.0, 3.0)
    np.testing.assert_allclose(
        re_encoded(COLOUR * 4 - 1, wide, "jpeg75"), re_encoded(COLOUR, UNIT, "jpeg75") * 4 - 1, atol=1e-5
    )


def test_what_cannot_be_stored_anew():
    with pytest.raises(ValueError, match="how is 'gif'; expected one of png"):
        re_encoded(COLOUR, UNIT, "gif")
    with pytest.raises(ValueError, match="with 1 or 3 channels"):
        re_encoded(COLOUR[..., :2], UNIT, "png")
    with pytest.raises(ValueError, match="cannot lose one on each side"):
        re_encoded(COLOUR[:, :2], UNIT, "cropped")
    with pytest.raises(ValueError, match="expected floats in"):
        re_encoded(COLOUR * 2, UNIT, "png")
