"""LiRA against SciPy's normal law on made-up logits, and on models that learned their labels by heart."""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import pytest
from scipy.stats import norm

from overunlearn_jax.forgetting import (
    lira_scores,
    membership,
    shadow_deviation,
    shadow_logits,
    shadow_subsets,
    true_label_confidence,
)
from tests.forgetting.memorising import CLASSES, IMAGE_SHAPE, memoriser, random_samples

SHADOWS = 16
POOL = 300  # samples that shadow models are trained on halves of
TARGETS = 27  # together asked about 8,100 samples


def _made_up(seed, shadows=8, count=30):
    """Target logits, shadow logits and who was inside, each sample with a difficulty and a spread of its own."""
    rng = np.random.default_rng(seed)
    inside = shadow_subsets(jax.random.key(seed), count, shadows)
    difficulty, spread = rng.normal(0, 5, count), rng.uniform(0.5, 2, count)
    logits = difficulty + 2 * inside + spread * rng.normal(size=(shadows, count))
    return difficulty + rng.normal(size=count), logits, inside


def _slow(target, logits, inside, shared):
    """One sample at a time, in the words of the definition."""
    groups = [[logits[mask[:, sample], sample] for sample in range(len(target))] for mask in (inside, ~inside)]
    both = groups[0] + groups[1]
    pooled = np.sqrt(sum(((x - x.mean()) ** 2).sum() for x in both) / sum(len(x) - 1 for x in both))
    likelihoods = []
    for group in groups:
        likelihoods.append(
            [norm.logpdf(t, x.mean(), pooled if shared else x.std(ddof=1)) for t, x in zip(target, group, strict=True)]
        )
    return np.subtract(*likelihoods)


@pytest.mark.parametrize("shared", [True, False])
def test_scores_are_those_of_the_normal_law(shared):
    target, logits, inside = _made_up(0)
    scores = lira_scores(target, logits, inside, shared_variance=shared)
    assert scores.shape == target.shape
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, _slow(target, logits, inside, shared), rtol=1e-9)


def test_variances_come_from_groups_of_different_sizes():
    target, logits, _ = _made_up(1)
    inside = np.zeros(logits.shape, bool)
    inside[:3], inside[3, ::2] = True, True  # 3 or 4 of 8
    for shared in (True, False):
        scores = lira_scores(target, logits, inside, shared_variance=shared)
        np.testing.assert_allclose(scores, _slow(target, logits, inside, shared), rtol=1e-9)


@pytest.mark.parametrize("offline", [False, True])
def test_with_a_deviation_of_others_each_sample_is_judged_by_itself(offline):
    target, logits, inside = _made_up(2)
    whole = lira_scores(target, logits, inside, shared_variance=True, offline=offline)
    deviation = shadow_deviation(logits, inside, offline=offline)
    one_by_one = [
        lira_scores(target[[i]], logits[:, [i]], inside[:, [i]], offline=offline, deviation=deviation)[0]
        for i in range(len(target))
    ]
    np.testing.assert_allclose(one_by_one, whole, rtol=1e-12)
    larger = lira_scores(target, logits, inside, offline=offline, deviation=2 * deviation)
    np.testing.assert_allclose(larger, whole / (2 if offline else 4), rtol=1e-12)


@pytest.mark.parametrize(
    ("deviation", "shared"), [(0.0, None), (-1.0, None), (np.nan, None), (np.inf, None), (1.0, True)]
)
def test_a_deviation_that_is_none(deviation, shared):
    target, logits, inside = _made_up(2)
    with pytest.raises(ValueError, match="expected one of them, and a deviation above 0"):
        lira_scores(target, logits, inside, deviation=deviation, shared_variance=shared)


def test_a_deviation_of_nothing():
    with pytest.raises(ValueError, match="at least one model and sample"):
        shadow_deviation(np.zeros((4, 0)), np.zeros((4, 0), bool))
    with pytest.raises(ValueError, match="expected bool"):
        shadow_deviation(np.zeros((4, 2)), np.zeros((4, 1), bool))


@pytest.mark.parametrize(("shadows", "shared"), [(62, True), (64, False)])
def test_the_variance_is_shared_below_64_shadow_models(shadows, shared):
    target, logits, inside = _made_up(2, shadows)
    default, named, other = (
        lira_scores(target, logits, inside, shared_variance=value) for value in (None, shared, not shared)
    )
    np.testing.assert_array_equal(default, named)
    assert np.abs(default - other).max() > 0.1


@pytest.mark.parametrize("shared", [True, False])
def test_two_equal_hypotheses_give_0(shared):
    target, logits, _ = _made_up(3)
    same = np.concatenate([logits, logits])
    inside = np.repeat([True, False], len(logits))[:, None] & np.ones(same.shape, bool)
    np.testing.assert_array_equal(lira_scores(target, same, inside, shared_variance=shared), np.zeros(len(target)))


def test_the_score_changes_sign_with_the_hypotheses_and_grows_towards_the_members():
    target, logits, inside = _made_up(4)
    scores = lira_scores(target, logits, inside)
    np.testing.assert_allclose(lira_scores(target, logits, ~inside), -scores, rtol=1e-12)
    mean_in, mean_out = (np.mean(logits, 0, where=mask) for mask in (inside, ~inside))
    at_in, at_out = lira_scores(mean_in, logits, inside), lira_scores(mean_out, logits, inside)
    assert (at_in > at_out).all()


def test_a_model_that_is_neither_kind_is_not_judged_by_tails():
    # members have wider shadow models outside than inside; a destroyed model is far below all of them on both sets
    rng = np.random.default_rng(9)
    count = 2000
    inside = shadow_subsets(jax.random.key(9), count, 8)
    logits = 2.0 * inside + np.where(inside, 0.5, 1.5) * rng.normal(size=inside.shape)
    destroyed = np.where(np.arange(count) < count // 2, -80.0, -60.0) + rng.normal(size=count)
    scores = lira_scores(destroyed, logits, inside)
    gaps = np.mean(logits, 0, where=inside) - np.mean(logits, 0, where=~inside)
    middle = (np.mean(logits, 0, where=inside) + np.mean(logits, 0, where=~inside)) / 2
    np.testing.assert_allclose(scores / scores.std(), (v := (destroyed - middle) * gaps) / v.std(), rtol=1e-9)
    assert (scores[gaps > 0] < 0).all()  # farther from members than from others, whatever the spreads


@pytest.mark.parametrize("shared", [True, False])
def test_offline_is_the_papers_order_without_its_saturation(shared):
    target, logits, inside = _made_up(5)
    scores = lira_scores(target, logits, inside, shared_variance=shared, offline=True)
    outside = [logits[~inside[:, sample], sample] for sample in range(len(target))]
    pooled = np.sqrt(np.mean([x.var(ddof=1) for x in outside]))
    paper = [norm.cdf(t, x.mean(), pooled if shared else x.std(ddof=1)) for t, x in zip(target, outside, strict=True)]
    np.testing.assert_allclose(norm.cdf(scores), paper, rtol=1e-9)
    clear = lira_scores(target + np.linspace(50, 60, 30), logits, inside, offline=True)
    assert len(set(clear)) == 30
    # models inside do not count, and there need not be any
    changed = np.where(inside, 7.0, logits)
    np.testing.assert_array_equal(lira_scores(target, changed, inside, shared_variance=shared, offline=True), scores)
    never = np.zeros(inside.shape, bool)
    assert np.isfinite(lira_scores(target, logits, never, offline=True)).all()


def test_difficulty_hides_members_from_confidence_but_not_from_lira():
    rng = np.random.default_rng(6)
    count = 600
    difficulty = rng.normal(0, 10, count)
    inside = shadow_subsets(jax.random.key(6), count, SHADOWS)
    logits = difficulty + 4 * inside + rng.normal(size=inside.shape)
    member = np.arange(count) < 300
    target = difficulty + 4 * member + rng.normal(size=count)
    scores = lira_scores(target, logits, inside)
    assert membership(target[member], target[~member]).auc < 0.7
    assert membership(scores[member], scores[~member]).auc > 0.98
    offline = lira_scores(target, logits, inside, offline=True)
    assert membership(offline[member], offline[~member]).auc > 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, x, i: (t[None], x, i), "target_logits have shape"),
        (lambda t, x, i: (t, x[:, :-1], i), "shadow_logits"),
        (lambda t, x, i: (t, x[0], i), "a row for each shadow model"),
        (lambda t, x, i: (t[0], x[:, 0], i[:, 0]), r"target_logits have shape \(\)"),
        (lambda t, x, i: (t[:0], x[:, :0], i[:, :0]), "expected"),
        (lambda t, x, i: (t, x, i[:-1]), "inside is bool of shape"),
        (lambda t, x, i: (t, x, i.astype(int)), "inside is int64"),
        (lambda t, x, i: (np.where(np.arange(30) == 3, np.nan, t), x, i), "NaN"),
        (lambda t, x, i: (t, np.where(i, np.inf, x), i), "infinity"),
        (lambda t, x, i: (t, x, i & (np.arange(30) != 4)), r"sample 4 was trained on by 0 of 8 .* at least 2"),
        (lambda t, x, i: (t, x, i | (np.arange(30) == 5)), r"sample 5 was not trained on by 0 of 8"),
        (lambda t, x, i: (t, x[:2], i[:2]), r"by 1 of 2 shadow models; expected at least 2"),
        (lambda t, x, i: (t, np.where(i, 0.1, 0.2), i), "all answer alike: no Gaussian fits; give each its own key"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        lira_scores(*change(*_made_up(7)))


def test_a_sample_that_all_models_answer_alike_has_no_variance_of_its_own():
    target, logits, inside = _made_up(8)
    logits[:, 9] = 0.1
    with pytest.raises(ValueError, match=r"sample 9 all answer alike.*shared_variance=True"):
        lira_scores(target, logits, inside, shared_variance=False)
    assert np.isfinite(lira_scores(target, logits, inside, shared_variance=True)).all()


def test_every_sample_is_judged_by_its_own_shadow_models():
    # logits carry the sample's number: another column's would be 5 away or more
    ids = np.array([7, 2, 9, 4, 0, 5])
    images = ids[:, None, None, None] * np.ones((6, *IMAGE_SHAPE), np.float32)
    labels = (ids % CLASSES).astype(np.int32)
    subsets = np.array([[True, False, True, False, True, False]])
    subsets = np.concatenate([subsets, ~subsets, subsets, ~subsets])

    def answer(inside, wiggle, images):
        number = images[:, 0, 0, 0].astype(int)
        logit = 5.0 * number - 20 + 4 * inside[number] + wiggle
        return jax.nn.softmax(jax.nn.one_hot(number % CLASSES, CLASSES) * (logit + np.log(CLASSES - 1))[:, None])

    wiggles = iter([-1.0, -1.0, 1.0, 1.0])

    def train(key, rows):
        inside = np.isin(np.arange(10), ids[rows])
        return jax.tree_util.Partial(answer, jax.numpy.asarray(inside), jax.numpy.float32(next(wiggles)))

    shadows = shadow_logits(train, jax.random.key(0), subsets, images, labels)
    outside = 5.0 * ids - 20  # the mean where a sample was left out; 4 more where it was not; -1 and 1: variance 2
    beyond = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    # (beyond^2 - (beyond - 4)^2) / (2 * 2)
    by_hand = np.array([-4.0, -2.0, 0.0, 2.0, 4.0, 6.0])
    for shared in (True, False):
        scores = lira_scores(outside + beyond, shadows, subsets, shared_variance=shared)
        np.testing.assert_allclose(scores, by_hand, atol=1e-4)
    offline = lira_scores(outside + beyond, shadows, subsets, offline=True)
    np.testing.assert_allclose(offline, beyond / np.sqrt(2), atol=1e-4)


class ByHeart(NamedTuple):
    """Models that learned random labels by heart, and like half of the classes better for no reason in the data."""

    shadows: np.ndarray  # shape=(SHADOWS, POOL): logits of models trained on halves of the pool
    subsets: np.ndarray  # shape=(SHADOWS, POOL): who was trained on what
    member: np.ndarray  # shape=(POOL,): a half of the pool, drawn at random
    saw_members: np.ndarray  # shape=(POOL,): logits of a target that was trained on that half
    saw_none: np.ndarray  # shape=(TARGETS, POOL): of targets that were each trained on samples outside the pool
    liked: np.ndarray  # shape=(POOL,): whether the label is of a class that all of these models favour


@pytest.fixture(scope="module")
def by_heart():
    images, labels = random_samples(1, POOL + TARGETS * POOL // 2)
    liked = np.arange(CLASSES) < CLASSES // 2
    train = memoriser(images, labels, favour=3.0 * liked)
    pool = images[:POOL], labels[:POOL]
    subset_key, train_key, choice_key, member_key, *target_keys = jax.random.split(jax.random.key(2), 4 + TARGETS)
    subsets = shadow_subsets(subset_key, POOL, SHADOWS)
    member = shadow_subsets(choice_key, POOL, 2)[0]

    def logits(key, rows):
        return true_label_confidence(train(key, rows)(pool[0]), pool[1])

    outside = np.arange(POOL, len(labels)).reshape(TARGETS, -1)
    return ByHeart(
        shadow_logits(train, train_key, subsets, *pool),
        subsets,
        member,
        logits(member_key, np.flatnonzero(member)),
        np.stack([logits(key, rows) for key, rows in zip(target_keys, outside, strict=True)]),
        liked[pool[1]],
    )


def _attacked(by_heart, score):
    """Membership by `score(logits, shadow logits, subsets)`: of members, and of samples that no target saw.

    The latter are not split at random, which any score would pass: the ones asked about are those of favoured classes.
    """
    seen = score(by_heart.saw_members, by_heart.shadows, by_heart.subsets)
    none = np.stack([score(logits, by_heart.shadows, by_heart.subsets) for logits in by_heart.saw_none])
    return (
        membership(seen[by_heart.member], seen[~by_heart.member]),
        membership(none[:, by_heart.liked].ravel(), none[:, ~by_heart.liked].ravel()),
    )


@pytest.mark.parametrize("offline", [False, True])
def test_lira_finds_what_a_model_learned_by_heart_and_not_what_it_never_saw(by_heart, offline):
    seen, never = _attacked(by_heart, partial(lira_scores, offline=offline))
    print(f"LiRA, offline {offline}: members {seen}, never seen {never}")
    assert seen.auc > 0.9
    assert seen.tpr_at_1_fpr > 0.3
    assert never.members + never.others == TARGETS * POOL
    assert never.auc == pytest.approx(0.5, abs=0.03)  # standard error about 0.01: a sample's scores share its shadows
    assert never.tpr_at_1_fpr == pytest.approx(0.01, abs=0.01)


SHUFFLED = np.random.default_rng(9).permutation(POOL)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda target, shadows, inside: np.zeros(POOL),
        lambda target, shadows, inside: target,
        lambda target, shadows, inside: lira_scores(target, shadows[:, SHUFFLED], inside[:, SHUFFLED]),
        lambda target, shadows, inside: lira_scores(target, shadows[:, SHUFFLED], inside[:, SHUFFLED], offline=True),
        lambda target, shadows, inside: lira_scores(target, shadows, inside[:, SHUFFLED]),
        lambda target, shadows, inside: lira_scores(target, shadows, ~inside),
    ],
    ids=["nothing", "confidence", "other samples", "other samples, offline", "other subsets", "in for out"],
)
def test_a_wrong_score_breaks_one_of_the_two_claims(by_heart, wrong):
    seen, never = _attacked(by_heart, wrong)
    print(f"members {seen.auc:.3f}, never seen {never.auc:.3f}")
    assert seen.auc < 0.8 or abs(never.auc - 0.5) > 0.1
