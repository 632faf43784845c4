"""Searches on the 8-bit lattice: all that is sent, and all that comes out, is an exact 8-bit image."""

import jax
import numpy as np
import pytest

from overunlearn_jax.attacks import LabelOnlySettings, ZooSettings, bisect, push, push_by_labels
from overunlearn_jax.attacks.spaces import lattice_space, on_lattice
from overunlearn_jax.attacks.zoo_state import check_settings
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.stealth.pixels import from_8_bits, to_8_bits
from overunlearn_jax.types import Bounds, DatasetSpec
from tests.attacks.test_blind import IMAGES, LABELS, SPEC, _eight_bit

EXACT = from_8_bits(to_8_bits(IMAGES, SPEC.bounds), SPEC.bounds)
SETTINGS = ZooSettings(
    SPEC.bounds,
    solver="sega",
    space="box",
    coordinates=8,
    step_size=0.03,
    difference=1 / 255,
    one_sided=True,
    levels=255,
)


class _Lattice:
    """A service that takes exact 8-bit images and no others."""

    def __init__(self, spec: DatasetSpec = SPEC):
        self._spec = spec

    def __call__(self, images: np.ndarray) -> np.ndarray:
        assert np.array_equal(from_8_bits(to_8_bits(images, self._spec.bounds), self._spec.bounds), images)
        return _eight_bit(images)


@pytest.mark.parametrize("bounds", [Bounds(-0.5, 0.5), Bounds(0.0, 1.0)])
def test_the_lattice_is_that_of_8_bit_pixels_bit_for_bit(bounds):
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    exact = from_8_bits(pixels, bounds)
    space = lattice_space(bounds, 255)
    assert np.array_equal(jax.jit(space.to_image)(exact), exact)
    assert np.array_equal(on_lattice(exact, bounds, 255), exact)
    moved = exact + np.float32(0.4 / 255)
    assert np.array_equal(space.to_image(moved), exact)
    assert np.array_equal(on_lattice(moved, bounds, 255), exact)
    assert np.array_equal(on_lattice(moved, bounds, 0), moved)


@pytest.mark.parametrize("changes", [{}, {"one_sided": False}, {"solver": "adam", "step_size": 0.01, "max_steps": 200}])
def test_all_that_is_sent_and_found_lies_on_it(changes):
    settings = SETTINGS._replace(**changes)
    box = BlackBox(SPEC, _Lattice())
    result = push(box, EXACT, LABELS, settings, jax.random.key(0), slots=3)
    assert result.crossed.all()
    halved = bisect(box, EXACT, LABELS, result, steps=4, levels=255)
    for each in (result, halved):
        assert (box.query(each.inside).argmax(-1) == LABELS).all()
        assert (box.query(each.outside).argmax(-1) != LABELS).all()
    assert (halved.queries - result.queries <= 4).all()


def test_the_search_by_labels_does_too():
    starts = EXACT[[np.flatnonzero(label != LABELS)[0] for label in LABELS]]
    box = BlackBox(SPEC, lambda images: np.eye(3)[_Lattice()(images).argmax(-1)])
    settings = LabelOnlySettings(SPEC.bounds, iterations=4, directions=30, levels=255)
    result = push_by_labels(box, EXACT, LABELS, starts, settings, jax.random.key(0))
    assert result.crossed.all()
    assert (box.query(result.outside).argmax(-1) != LABELS).all()
    first = np.sqrt(((starts - EXACT) ** 2).sum((1, 2, 3)))
    assert (result.l2_outside < first).all()


def test_settings_that_a_lattice_cannot_have():
    for changes in ({"space": "tanh"}, {"difference": 1e-3}, {"levels": -1}):
        with pytest.raises(ValueError, match="levels is"):
            check_settings(SETTINGS._replace(**changes))
