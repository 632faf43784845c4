"""Margins worked out by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.attacks import criteria

PROBABILITIES = jnp.array([0.5, 0.3, 0.2])


@pytest.mark.parametrize(
    ("label", "expected"),
    [(0, math.log(0.5 / 0.3)), (1, 0.0), (2, 0.0)],  # a label that is not predicted is at the goal: -kappa
)
def test_untargeted_margin(label, expected):
    assert criteria.untargeted().margin(PROBABILITIES, label, label) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("target", "expected"), [(0, 0.0), (1, math.log(0.5 / 0.3)), (2, math.log(0.5 / 0.2))])
def test_targeted_margin(target, expected):
    assert criteria.targeted().margin(PROBABILITIES, 0, target) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("kappa", "expected"),
    [(0.0, 0.0), (0.2, -0.2), (math.inf, math.log(0.3 / 0.5))],  # the floor; without one, the bare difference
)
def test_kappa_is_how_far_beyond_the_boundary_the_margin_falls(kappa, expected):
    assert criteria.untargeted(kappa).margin(PROBABILITIES, 1, 1) == pytest.approx(expected, abs=1e-6)
    targeted = criteria.targeted(kappa).margin(PROBABILITIES, 1, 0)
    assert targeted == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("make", [criteria.untargeted, criteria.targeted])
@pytest.mark.parametrize("label", [0, 1])
def test_a_probability_of_zero_has_a_finite_margin(make, label):
    margin = make(math.inf).margin(jnp.array([1.0, 0.0]), label, 1 - label)
    assert np.isfinite(margin)
    assert abs(margin) == pytest.approx(30 * math.log(10), rel=1e-6)


def test_margin_of_the_only_other_class_is_never_the_label_itself():
    # one class is certain: the margin is to the second best, not to itself
    assert criteria.untargeted().margin(jnp.array([0.98, 0.01, 0.01]), 0, 0) == pytest.approx(math.log(98), rel=1e-5)


def test_crossed():
    untargeted, targeted = criteria.untargeted(), criteria.targeted()
    assert not untargeted.crossed(PROBABILITIES, 0, 0)
    assert untargeted.crossed(PROBABILITIES, 1, 1)
    assert targeted.crossed(PROBABILITIES, 1, 0)
    assert not targeted.crossed(PROBABILITIES, 0, 1)  # another class than the label is not yet the target
    assert not targeted.crossed(PROBABILITIES, 2, 1)


def test_criteria_batch_under_vmap_and_jit():
    batch = jnp.stack([PROBABILITIES, PROBABILITIES[::-1]])
    margin = jax.jit(jax.vmap(criteria.untargeted().margin))(batch, jnp.array([0, 0]), jnp.array([0, 0]))
    np.testing.assert_allclose(margin, [math.log(0.5 / 0.3), 0.0], atol=1e-6)
