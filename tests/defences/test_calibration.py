"""Thresholds: against counting, at the limits, and over many draws of honest people."""

import numpy as np
import pytest

from overunlearn_jax.defences import ScoredGate, calibrated, class_thresholds, threshold
from overunlearn_jax.defences.gate import GateError, View, decide
from overunlearn_jax.types import Bounds, DatasetSpec, Request

SPEC = DatasetSpec("one pixel", (1, 1, 1), Bounds(0.0, 1.0), ("a", "b"))
VIEW = View(SPEC, lambda images: None)
BRIGHT = ScoredGate("bright", lambda request, view: request.images.reshape(-1), 0.5, "it is too bright")


def asked(values, labels=None):
    images = np.array(values, np.float32).reshape(-1, 1, 1, 1)
    return Request(images, np.zeros(len(images), np.int32) if labels is None else np.array(labels))


def _by_counting(scores, refuse):
    """The smallest score such that of n + 1 people, the scores and one more, at most the share lie above it."""
    for candidate in np.sort(scores):
        if np.sum(scores > candidate) + 1 <= refuse * (len(scores) + 1) + 1e-9:
            return candidate
    return np.inf


@pytest.mark.parametrize("count", [19, 20, 57, 200])
@pytest.mark.parametrize("refuse", [0.05, 0.1, 0.5])
def test_the_threshold_is_that_of_counting(count, refuse):
    scores = np.random.default_rng(count).normal(size=count)
    assert threshold(scores, refuse) == _by_counting(scores, refuse)
    assert threshold(-scores, refuse, higher_is_worse=False) == -threshold(scores, refuse)


def test_a_new_honest_person_is_refused_that_often():
    rng = np.random.default_rng(0)
    refused = [rng.normal() > threshold(rng.normal(size=39), 0.1) for _ in range(4000)]
    assert abs(np.mean(refused) - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 4000)


def test_limits():
    scores = np.arange(10.0)
    assert threshold(scores, 0) == np.inf
    assert threshold(scores, 1) == -np.inf
    assert threshold(scores, 0, higher_is_worse=False) == -np.inf
    for limit, accepted in [(np.inf, True), (-np.inf, False)]:
        assert (ScoredGate("g", BRIGHT.score, limit, "")(asked([0, 0.5, 1]), VIEW).accepted == accepted).all()


@pytest.mark.parametrize(
    ("scores", "refuse", "told"),
    [
        ([], 0.05, "at least one"),
        ([[1.0]], 0.05, "expected \\(n,\\)"),
        ([1.0, np.nan], 0.5, "1 values that are not finite, of 2"),
        ([1.0, np.inf], 0.5, "not finite"),
        ([1.0], -0.1, "expected a share"),
        ([1.0], 1.1, "expected a share"),
        ([1.0], np.nan, "expected a share"),
        (np.arange(18.0), 0.05, "expected at least 19"),
    ],
)
def test_what_cannot_be_calibrated(scores, refuse, told):
    with pytest.raises(ValueError, match=told):
        threshold(np.array(scores), refuse)


def test_classes_have_thresholds_of_their_own():
    scores, labels = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9]), np.array([0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(class_thresholds(scores, labels, 2, 0.5), [0.2, 0.8])
    gate = calibrated(BRIGHT, asked(scores, labels), VIEW, 0.5, per_class=True)
    decision = gate(asked([0.25, 0.25], [0, 1]), VIEW)
    assert decision.accepted.tolist() == [False, True]
    np.testing.assert_allclose(decision.scores, [0.05, -0.55], atol=1e-6)
    assert decision.threshold == 0


def test_a_class_without_calibration_samples():
    with pytest.raises(ValueError, match="of class 1 have shape"):
        class_thresholds(np.arange(30.0), np.zeros(30, int), 2)
    with pytest.raises(ValueError, match="2 calibration scores of class 1 cannot tell"):
        class_thresholds(np.arange(30.0), np.array([0] * 28 + [1] * 2), 2)


def test_a_calibrated_gate_refuses_that_share_of_the_honest():
    values = np.random.default_rng(1).uniform(size=199)
    gate = calibrated(BRIGHT, asked(values), VIEW, 0.1)
    assert (~gate(asked(values), VIEW).accepted).sum() == 19
    assert BRIGHT.threshold == 0.5  # the other is a new gate


def test_a_score_that_is_no_number_is_refused_and_a_threshold_is_an_error():
    gate = ScoredGate("g", lambda request, view: np.array([np.nan, 0.0]), np.inf, "")
    assert gate(asked([0, 1]), VIEW).accepted.tolist() == [False, True]
    with pytest.raises(ValueError, match="the threshold of g is nan"):
        ScoredGate("g", BRIGHT.score, float("nan"), "")


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (Request(np.zeros((1, 2, 1, 1), np.float32), np.array([0])), "expected \\(n, 1, 1, 1\\)"),
        (asked([2.0]), "expected floats in"),
        (asked([0.5], [7]), "labels lie in 7"),
        (asked([0.5], [0, 0]), "expected 1 integers"),
        (asked([np.nan]), "NaN"),
        (asked([]), "at least one image"),
    ],
)
def test_a_request_that_does_not_fit(request_, told):
    with pytest.raises(GateError, match=f"the gate bright raised ValueError: .*{told}"):
        decide([BRIGHT], request_, VIEW)


def test_thresholds_for_another_number_of_classes():
    with pytest.raises(ValueError, match="expected one number, or \\(2,\\)"):
        ScoredGate("g", BRIGHT.score, np.zeros(3), "")(asked([0.5]), VIEW)
