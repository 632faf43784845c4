"""Gates that ask the model: confidence, LiRA, agreement, consistency. On digits, and on their decision boundaries."""

import jax
import numpy as np
import pytest
from scipy.stats import norm

from overunlearn_jax.defences import (
    agreement_gate,
    confidence_gate,
    inside_by_nearest,
    jpeg_gate,
    lira_gate,
    noise_gate,
)
from overunlearn_jax.defences.gate import View
from overunlearn_jax.defences.re_encoding import jpeg_encoded
from overunlearn_jax.forgetting import lira_scores, shadow_subsets, true_label_confidence
from overunlearn_jax.types import Bounds, DatasetSpec, Request
from tests.defences.small import KEY, digits, on_the_boundary, probabilities, request, view

COUNT = 40


def _scores_alone(gate, asked):
    """Of requests of one sample each."""
    single = [Request(asked.images[[i]], asked.labels[[i]]) for i in range(len(asked.labels))]
    return np.concatenate([gate(each, view()).scores for each in single])


def test_confidence_is_the_loss():
    asked = request(COUNT)
    chosen = probabilities(asked.images)[np.arange(COUNT), asked.labels]
    decision = confidence_gate(0.1)(asked, view())
    np.testing.assert_allclose(decision.scores, -np.log(chosen), rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(decision.accepted, -np.log(chosen) <= 0.1)
    assert (decision.scores > 0).all()
    np.testing.assert_allclose(_scores_alone(confidence_gate(0.1), asked), decision.scores, rtol=2e-5)


def test_a_sample_on_the_boundary_is_refused():
    near = on_the_boundary(request(COUNT))
    top = np.sort(probabilities(near.images), axis=1)[:, -1]
    assert np.median(top) < 0.55
    for gate in (confidence_gate(0.3), agreement_gate(0.4)):
        assert gate(request(COUNT), view()).accepted.mean() > 0.8
        assert gate(near, view()).accepted.mean() < 0.1


@pytest.mark.parametrize(
    "make",
    [
        confidence_gate,
        lambda threshold: agreement_gate(-threshold),
        lambda threshold: noise_gate(KEY, threshold, copies=2),
        lambda threshold: jpeg_gate(threshold, qualities=(75,)),
        lambda threshold: lira_gate([view().predict, _shifted(0.5)], request(8), threshold),
    ],
    ids=["confidence", "agreement", "noise", "jpeg", "lira"],
)
def test_at_infinity_all_pass_and_at_minus_infinity_none(make):
    assert make(np.inf)(request(8), view()).accepted.all()
    assert not make(-np.inf)(request(8), view()).accepted.any()


def test_agreement_is_the_margin():
    asked = request(COUNT)
    wrong = Request(asked.images, (asked.labels + 1) % 10)
    for each in (asked, wrong):
        p = probabilities(each.images)
        margins = [row[label] - max(np.delete(row, label)) for row, label in zip(p, each.labels, strict=True)]
        np.testing.assert_allclose(agreement_gate()(each, view()).scores, -np.array(margins), atol=1e-5)
        np.testing.assert_array_equal(agreement_gate()(each, view()).accepted, p.argmax(1) == each.labels)
    assert agreement_gate(-1)(wrong, view()).accepted.all()
    assert agreement_gate(1)(asked, view()).threshold == -1
    for margin in (1.01, -1.01, 7, float("nan")):
        with pytest.raises(ValueError, match=f"agreement has margin={margin}; expected a difference .* from -1 to 1"):
            agreement_gate(margin)


def test_noise_counts_changed_predictions():
    near = on_the_boundary(request(COUNT))
    gate = noise_gate(KEY, 0.1, deviation=0.15, copies=8)
    changed = np.zeros(COUNT)
    for key in jax.random.split(KEY, 8):
        noise = np.asarray(jax.random.normal(key, (16, 16, 1))) * np.float32(0.15)
        copies = np.clip(near.images + noise, -0.5, 0.5)
        changed += probabilities(copies).argmax(1) != probabilities(near.images).argmax(1)
    decision = gate(near, view())
    np.testing.assert_array_equal(decision.scores, changed / 8)
    assert decision.scores.mean() > 0.15
    assert gate(request(COUNT), view()).scores.mean() < 0.05
    np.testing.assert_array_equal(_scores_alone(gate, request(COUNT)), gate(request(COUNT), view()).scores)


def test_without_noise_nothing_changes():
    assert (noise_gate(KEY, 0.0, deviation=0, copies=3)(on_the_boundary(request(5)), view()).scores == 0).all()


def test_jpeg_counts_changed_predictions():
    near = on_the_boundary(request(COUNT))
    qualities = (90, 50, 10)
    before = probabilities(near.images).argmax(1)
    copies = [jpeg_encoded(near.images, digits().spec.bounds, quality) for quality in qualities]
    expected = np.mean([probabilities(copy).argmax(1) != before for copy in copies], axis=0)
    decision = jpeg_gate(0.5, qualities=qualities)(near, view())
    np.testing.assert_allclose(decision.scores, expected)
    assert decision.scores.mean() > jpeg_gate(0.5, qualities=qualities)(request(COUNT), view()).scores.mean()


def test_predictions_are_asked_in_bounded_batches():
    sizes = []

    def predict(images):
        sizes.append(len(images))
        return probabilities(images)

    asked = request(300)
    noise_gate(KEY, 0.5, copies=2)(asked, View(digits().spec, predict))
    assert max(sizes) <= 128
    assert sum(sizes) == 3 * 300


def _shifted(scale):
    return lambda images: probabilities(np.asarray(images) * scale)


SHADOWS = [_shifted(scale) for scale in (0.5, 0.6, 0.7, 0.8)]


def test_lira_offline_is_the_normal_law_of_the_shadows():
    scale, asked = request(60, start=100), request(COUNT)
    logits = np.stack([true_label_confidence(shadow(scale.images), scale.labels) for shadow in SHADOWS])
    deviation = np.sqrt(np.mean(logits.var(0, ddof=1)))
    means = np.mean([true_label_confidence(shadow(asked.images), asked.labels) for shadow in SHADOWS], axis=0)
    target = true_label_confidence(np.asarray(view().predict(asked.images)), asked.labels)
    gate = lira_gate(SHADOWS, scale, 0.0)
    decision = gate(asked, view())
    np.testing.assert_allclose(decision.scores, (means - target) / deviation, rtol=2e-5)
    np.testing.assert_allclose(
        norm.cdf(decision.scores), norm.sf(target, means, deviation), rtol=1e-4
    )  # the paper's one-sided p-value: far out in a tail rounding is larger
    np.testing.assert_allclose(_scores_alone(gate, asked), decision.scores, rtol=1e-3, atol=1e-3)


def test_lira_online_is_that_of_forgetting():
    train, asked = digits().train, request(COUNT)
    subsets = shadow_subsets(jax.random.key(1), len(train.labels), 4)
    gate = lira_gate(SHADOWS, asked, 0.0, inside_of=inside_by_nearest(train, subsets))
    logits = np.stack([true_label_confidence(shadow(asked.images), asked.labels) for shadow in SHADOWS])
    target = true_label_confidence(np.asarray(view().predict(asked.images)), asked.labels)
    expected = lira_scores(target, logits, subsets[:, :COUNT], shared_variance=True)
    np.testing.assert_allclose(gate(asked, view()).scores, -expected, rtol=2e-5)  # batches differ
    moved = Request(np.clip(asked.images + np.float32(0.01), -0.5, 0.5), asked.labels)
    assert np.isfinite(gate(moved, view()).scores).all()


def test_lira_without_what_it_needs():
    with pytest.raises(ValueError, match="there are 1 shadow models"):
        lira_gate(SHADOWS[:1], request(5), 0.0)
    with pytest.raises(ValueError, match="expected bool \\(shadows"):
        inside_by_nearest(digits().train, np.zeros((4, 3), bool))
    with pytest.raises(ValueError, match="all answer alike"):
        lira_gate([SHADOWS[0]] * 3, request(5), 0.0)


def test_settings_out_of_range():
    with pytest.raises(ValueError, match="deviation is -1"):
        noise_gate(KEY, 0.5, deviation=-1)
    with pytest.raises(ValueError, match="copies 0"):
        noise_gate(KEY, 0.5, copies=0)
    with pytest.raises(ValueError, match="qualities are \\(\\)"):
        jpeg_gate(0.5, qualities=())
    with pytest.raises(ValueError, match="qualities are \\(0,\\)"):
        jpeg_gate(0.5, qualities=(0,))
    two = View(
        DatasetSpec("two channels", (8, 8, 2), Bounds(-0.5, 0.5), ("a", "b")), lambda x: np.full((len(x), 2), 0.5)
    )
    with pytest.raises(ValueError, match="1 or 3 channels"):
        jpeg_gate(0.5)(Request(np.zeros((1, 8, 8, 2), np.float32), np.zeros(1, np.int32)), two)
