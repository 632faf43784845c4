"""Which arrays are taken for images."""

import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.pixels import advice_on_8_bits, check_pixels
from overunlearn_jax.types import Bounds

ZEROS = np.zeros((2, 3, 3, 1))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, jnp.bfloat16])
def test_floats_pass_as_they_are(dtype):
    assert check_pixels("images", ZEROS.astype(dtype)).dtype == dtype
    check_pixels("images", jnp.asarray(ZEROS.astype(dtype)), Bounds(-0.5, 0.5))


def test_pixels_on_bounds_that_float32_rounds_outwards_pass():
    check_pixels("images", np.full((1, 2), np.float32(0.7)), Bounds(-0.7, 0.7))
    check_pixels("images", np.full((1, 2), np.float32(-0.3)), Bounds(-0.3, 0.3))


@pytest.mark.parametrize(
    ("images", "bounds", "message"),
    [
        (ZEROS.astype(np.uint8), None, r"mine have dtype uint8; expected floats inside the .* by x / 255 - 0\.5$"),
        (
            ZEROS.astype(np.int64),
            Bounds(0.0, 1.0),
            r"mine have dtype int64; expected floats in \[0\.0, 1\.0\]: .* 255$",
        ),
        (ZEROS.astype(bool), None, "mine have dtype bool"),
        (ZEROS[:0], None, r"mine have shape \(0, 3, 3, 1\); expected at least one image"),
        (np.full((1, 2), np.nan), None, "mine hold NaN or infinity"),
        (np.full((1, 2), -np.inf), None, "mine hold NaN or infinity"),
        (ZEROS + 255.0, Bounds(-0.5, 0.5), r"mine lie in \[255, 255\]; expected floats in \[-0\.5, 0\.5\]: scale"),
        (ZEROS - 0.6, Bounds(-0.5, 0.5), r"mine lie in \[-0\.6, -0\.6\]"),
    ],
)
def test_what_no_image_of_this_package_holds_is_refused(images, bounds, message):
    with pytest.raises(ValueError, match=message):
        check_pixels("mine", images, bounds)


@pytest.mark.parametrize("bounds", [Bounds(-0.5, 0.5), Bounds(0.0, 1.0), Bounds(-1.0, 1.0), Bounds(0.25, 0.75)])
def test_the_advice_leads_into_the_bounds(bounds):
    formula = advice_on_8_bits(bounds).removeprefix("8-bit pixels become those by ")
    assert eval(formula, {"x": np.array([0, 255])}) == pytest.approx(bounds)
