"""Confidence in the true label by its formula; AUC by counting pairs; a model that learned its labels by heart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from overunlearn_jax.forgetting import Membership, membership, true_label_confidence
from tests.forgetting.memorising import CLASSES, memoriser, random_samples

MODELS = 27  # together asked about 8,100 samples that they never saw
BLOCK = 300


def _by_pairs(members, others):
    wins = [(member > other) + 0.5 * (member == other) for member in members for other in others]
    return np.mean(wins)


def _by_thresholds(members, others):
    allowed = [t for t in [*members, *others, np.inf] if np.sum(others >= t) <= 0.01 * len(others)]
    return max(np.mean(members >= t) for t in allowed)


def test_confidence_is_the_logit_of_the_true_label():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(5), 40)
    labels = rng.integers(0, 5, 40)
    p = probabilities[np.arange(40), labels]
    confidence = true_label_confidence(probabilities, labels)
    assert confidence.shape == (40,)
    assert confidence.dtype == np.float64
    np.testing.assert_allclose(confidence, np.log(p / (1 - p)), rtol=1e-9)


def test_confidence_keeps_its_digits_where_float32_rounds_the_probability_to_1():
    logits = np.array([[gap, 0.0, -1.0, -2.0] for gap in np.linspace(-80, 80, 33)])
    probabilities = jax.nn.softmax(jnp.asarray(logits, jnp.float32))
    assert (probabilities[:, 0] == 1).sum() > 10
    exact = logits[:, 0] - logsumexp(logits[:, 1:], axis=1)
    np.testing.assert_allclose(true_label_confidence(probabilities, np.zeros(33, int)), exact, rtol=1e-5)
    # for any other label the same mass is on the other side
    other = logits[:, 1] - logsumexp(logits[:, [0, 2, 3]], axis=1)
    np.testing.assert_allclose(true_label_confidence(probabilities, np.ones(33, int)), other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_certainty_is_finite(dtype):
    sure = np.eye(3, dtype=dtype)
    confidence = true_label_confidence(sure, np.array([0, 1, 0]))
    np.testing.assert_allclose(confidence, [87.34, 87.34, -87.34], atol=0.01)
    assert true_label_confidence(np.full((1, 2), 0.5, dtype), np.array([1])) == 0


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.array([[2.0, -1.0]]), np.array([0]), "take their softmax"),
        (np.array([[0.5, 0.4]]), np.array([0]), r"between 0\.9 and 0\.9"),
        (np.array([[0.5, np.nan]]), np.array([0]), "take their softmax"),
        (np.array([0.5, 0.5]), np.array([0]), r"shape \(2,\); expected \(n, k\)"),
        (np.array([[1.0]]), np.array([0]), "at least 2 classes"),
        (np.zeros((0, 3)), np.zeros(0, int), "expected"),
        (np.array([[0.5, 0.5]]), np.array([2]), r"2 \.\.\. 2; expected 0 \.\.\. 1"),
        (np.array([[0.5, 0.5]]), np.array([-1]), "expected 0"),
        (np.array([[0.5, 0.5]]), np.array([0, 1]), "expected 1 integers"),
        (np.array([[0.5, 0.5]]), np.array([1.0]), "float64"),
    ],
)
def test_what_is_no_probability_or_label_is_refused(probabilities, labels, message):
    with pytest.raises(ValueError, match=message):
        true_label_confidence(probabilities, labels)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("shift", [-1.5, 0.0, 0.7])
def test_auc_and_rate_by_counting(shift, tied):
    rng = np.random.default_rng(1)
    members, others = rng.normal(shift, 1, 90), rng.normal(0, 1, 230)
    if tied:
        members, others = np.round(members), np.round(others)
    result = membership(members, others)
    assert result.auc == pytest.approx(_by_pairs(members, others), abs=1e-12)
    assert result.tpr_at_1_fpr == pytest.approx(_by_thresholds(members, others), abs=1e-12)
    assert result[2:] == (90, 230)


def test_the_rate_allows_exactly_1_percent():
    others = np.arange(100.0)  # one of them may lie above the threshold
    members = np.array([98.0, 98.5, 99.0, 99.5])
    assert membership(members, others).tpr_at_1_fpr == 0.75
    assert membership(members, np.append(others, 98.7)).tpr_at_1_fpr == 0.5  # 1 of 101; two would be 1.98 %


def test_a_straight_curve_keeps_its_points():
    # a member and another tie at each threshold: the curve is the diagonal, and has a point at 1 % all the same
    assert membership(np.arange(200.0), np.arange(200.0))[:2] == pytest.approx((0.5, 0.01), abs=1e-12)


def test_apart_alike_and_turned_round():
    low, high = np.arange(150.0), np.arange(1000.0, 1100)
    assert membership(high, low) == Membership(1.0, 1.0, 100, 150)
    assert membership(low, high)[:2] == (0.0, 0.0)
    assert membership(np.zeros(200), np.zeros(300))[:2] == (0.5, 0.0)  # all pass together, or none


def test_rate_needs_100_others():
    rng = np.random.default_rng(2)
    assert np.isnan(membership(rng.normal(size=500), rng.normal(size=99)).tpr_at_1_fpr)
    assert 0 <= membership(rng.normal(size=5), rng.normal(size=100)).tpr_at_1_fpr <= 1


@pytest.mark.parametrize("bad", [np.zeros(0), np.zeros((3, 1)), np.array([1.0, np.nan]), np.array([np.inf])])
def test_scores_that_are_none_are_refused(bad):
    good = np.arange(3.0)
    with pytest.raises(ValueError, match="members_scores"):
        membership(bad, good)
    with pytest.raises(ValueError, match="others_scores"):
        membership(good, bad)


@pytest.fixture(scope="module")
def by_heart():
    """Models trained on the first half of a block of samples each: answers to its own block, and to the next one's."""
    images, labels = random_samples(3, MODELS * BLOCK)
    train = memoriser(images, labels)
    own, other = [], []
    for number, key in enumerate(jax.random.split(jax.random.key(0), MODELS)):
        predict = train(key, number * BLOCK + np.arange(BLOCK // 2))
        for answers, block in ((own, number), (other, (number + 1) % MODELS)):
            rows = slice(block * BLOCK, (block + 1) * BLOCK)
            answers.append((np.asarray(predict(images[rows])), labels[rows]))
    return own, other


def _attacked(by_heart, score):
    """Membership by `score(probabilities, labels)`: of what the models saw, and of what they never saw.

    The latter is not split at random, which any score would pass, but by the class that is predicted.
    """
    own, other = (np.stack([score(*answers) for answers in kind]) for kind in by_heart)
    lower = np.stack([probabilities.argmax(-1) < CLASSES // 2 for probabilities, _ in by_heart[1]])
    trained_on = np.arange(BLOCK) < BLOCK // 2
    return membership(own[:, trained_on].ravel(), own[:, ~trained_on].ravel()), membership(other[lower], other[~lower])


def test_a_model_that_learned_by_heart_gives_its_members_away_and_nobody_else(by_heart):
    seen, never = _attacked(by_heart, true_label_confidence)
    print(f"confidence: members {seen}, never seen {never}")
    assert seen.auc > 0.9
    assert seen.tpr_at_1_fpr > 0.1
    assert never.members + never.others == MODELS * BLOCK
    assert never.auc == pytest.approx(0.5, abs=0.03)  # standard error 0.0064
    assert never.tpr_at_1_fpr == pytest.approx(0.01, abs=0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda probabilities, labels: np.zeros(len(labels)),
        lambda probabilities, labels: true_label_confidence(probabilities, np.roll(labels, 1)),
        lambda probabilities, labels: true_label_confidence(probabilities, np.zeros_like(labels)),
        lambda probabilities, labels: -true_label_confidence(probabilities, labels),
    ],
    ids=["nothing", "other labels", "one class", "loss"],
)
def test_a_wrong_score_breaks_one_of_the_two_claims(by_heart, wrong):
    seen, never = _attacked(by_heart, wrong)
    print(f"members {seen.auc:.3f}, never seen {never.auc:.3f}")
    assert seen.auc < 0.8 or abs(never.auc - 0.5) > 0.1
