"""Calibration against scikit-learn and by hand; knowledge near forgotten samples of models with a known boundary."""

import doctest
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from overunlearn_jax.models import predict_fn, pure_model
from overunlearn_jax.robustness import (
    brier_score,
    expected_calibration_error,
    neighbourhood_shares,
    residual_knowledge,
)
from overunlearn_jax.types import Bounds, Variables


@pytest.mark.parametrize("name", ["calibration", "residual"])
def test_examples(name):
    found = doctest.testmod(importlib.import_module(f"overunlearn_jax.robustness.{name}"))
    assert found.attempted > 0
    assert found.failed == 0


def answers(count=500, classes=4, seed=0):
    draws = np.random.default_rng(seed)
    return draws.dirichlet(np.full(classes, 0.5), count), draws.integers(0, classes, count)


def test_the_error_is_that_of_scikit_learn_s_reliability_curve():
    probabilities, labels = answers()
    right, confidence = probabilities.argmax(1) == labels, probabilities.max(1)
    accuracy, mean = calibration_curve(right, confidence, n_bins=10)
    counts = np.histogram(confidence, bins=10, range=(0, 1))[0]
    expected = np.sum(counts[counts > 0] * np.abs(accuracy - mean)) / len(labels)
    assert expected_calibration_error(probabilities, labels, bins=10) == pytest.approx(expected)


def test_the_brier_score_is_scikit_learn_s():
    probabilities, labels = answers()
    expected = brier_score_loss(labels, probabilities, scale_by_half=False)
    assert brier_score(probabilities, labels) == pytest.approx(expected)


def test_calibrated_answers_have_no_error_and_sure_ones_all_of_it():
    draws = np.random.default_rng(1)
    confidence = draws.uniform(0.5, 1, 20_000)
    probabilities = np.stack([confidence, 1 - confidence], 1)
    labels = (draws.uniform(size=20_000) > confidence).astype(int)  # right as often as it says
    assert expected_calibration_error(probabilities, labels) < 0.02
    assert expected_calibration_error(np.eye(2)[np.zeros(5, int)], np.ones(5, int)) == 1
    assert brier_score(np.eye(2)[np.zeros(5, int)], np.ones(5, int)) == 2


def test_wrong_answers_are_named():
    for probabilities in (np.ones(3), np.full((2, 2), 0.7), np.array([[1.5, -0.5]])):
        with pytest.raises(ValueError, match="expected \\(n, k\\)"):
            brier_score(probabilities, np.zeros(len(probabilities), int))
    with pytest.raises(ValueError, match="bins are 0"):
        expected_calibration_error(np.eye(2), np.zeros(2, int), bins=0)


# Class 0 where the first of four pixels is above the threshold.
MODEL = pure_model(
    lambda key: jnp.zeros(()), lambda w, x: jnp.stack([x[:, 0, 0, 0] - w, jnp.zeros(len(x))], -1) * 100.0
)


def shares(threshold, images, radius, **settings):
    predict = predict_fn(MODEL, Variables(jnp.float32(threshold)))
    labels = np.zeros(len(images), int)
    return neighbourhood_shares(
        predict, images, labels, radius, Bounds(-5.0, 5.0), jax.random.key(0), **settings
    )  # fmt: skip


@pytest.mark.parametrize(("norm", "half"), [("linf", 0.25), ("l2", (np.arccos(0.5) - 0.5 * np.sqrt(0.75)) / np.pi)])
def test_the_share_of_a_ball_beyond_a_plane(norm, half):
    """Two pixels, the boundary half a radius away: the area of a rectangle, or of a segment of a circle."""
    images = np.zeros((40, 2, 1, 1), np.float32)
    found = shares(0.5, images, 1.0, draws=100, norm=norm)
    assert found.mean() == pytest.approx(half, abs=0.03)
    assert found.std() > 0  # every image has points of its own


def test_the_limits_of_residual_knowledge():
    images = np.zeros((8, 2, 1, 1), np.float32)
    known, unknown = shares(-2.0, images, 1.0), shares(2.0, images, 1.0)
    assert (known == 1).all()
    assert (unknown == 0).all()
    assert (shares(-0.1, images, 0.0) == 1).all()  # a ball of nothing is the sample itself
    near = shares(0.0, images, 1.0, draws=200)
    assert residual_knowledge(near, near) == 1
    assert residual_knowledge(known, near) == pytest.approx(2, rel=0.1)
    assert np.isnan(residual_knowledge(known, unknown))
    with pytest.raises(ValueError, match="one for each sample of both"):
        residual_knowledge(known, near[:3])
    with pytest.raises(ValueError, match="draws are 0"):
        shares(0.0, images, 1.0, draws=0)
