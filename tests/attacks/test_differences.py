"""Central and one-sided differences on functions whose derivatives are known."""

import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.attacks.differences import central, one_sided
from overunlearn_jax.types import Bounds

BOUNDS = Bounds(-0.5, 0.5)
PIXELS = jnp.array([-0.5, -0.2, 0.1, 0.5])[:, None, None]


def _changes(function, offsets):
    here = PIXELS[:, 0]
    return function(here + offsets) - function(here)


def test_central_differences_are_exact_for_a_parabola():
    difference = central(0.1)
    offsets = difference.offsets(PIXELS)
    first, second = difference.estimate(_changes(lambda x: 3 * x**2 - x, offsets), offsets)
    np.testing.assert_allclose(first, 6 * PIXELS[:, 0, 0] - 1, rtol=1e-5)
    np.testing.assert_allclose(second, np.full(4, 6.0), rtol=1e-4)


def test_one_sided_differences_are_exact_for_a_line_and_off_by_half_of_h_times_the_curvature():
    difference = one_sided(0.1, BOUNDS)
    offsets = difference.offsets(PIXELS)
    first, second = difference.estimate(_changes(lambda x: 2 - 7 * x, offsets), offsets)
    np.testing.assert_allclose(first, np.full(4, -7.0), rtol=1e-5)
    np.testing.assert_array_equal(second, np.zeros(4))
    first, _ = difference.estimate(_changes(lambda x: 3 * x**2, offsets), offsets)
    np.testing.assert_allclose(first - 6 * PIXELS[:, 0, 0], offsets[:, 0] / 2 * 6, rtol=1e-4)


def test_one_sided_probes_stay_within_the_bounds_where_pixels_lie_on_them():
    difference = one_sided(0.1, BOUNDS)
    probes = PIXELS[:, 0] + difference.offsets(PIXELS)
    assert ((probes >= BOUNDS.lower) & (probes <= BOUNDS.upper)).all()


@pytest.mark.parametrize(("difference", "probes"), [(central(0.1), 2), (one_sided(0.1, BOUNDS), 1)])
def test_as_many_probes_as_promised(difference, probes):
    assert difference.probes == probes
    assert difference.offsets(PIXELS).shape == (4, probes)
