"""U-LiRA and KLOM on made-up margins, whose answers are known, and beside slow references."""

import jax
import numpy as np
import pytest
from scipy.stats import entropy, norm

from overunlearn_jax.forgetting import klom, klom_of_few, lira_scores, shadow_subsets, u_lira, u_lira_scores


def made_up(left: float, models: int = 16, samples: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Margins with a spread of 1 about each sample's own mean; `left` is what a model still knows of what it forgot."""
    rng = np.random.default_rng(seed)
    inside = shadow_subsets(jax.random.key(seed), samples, models)
    return rng.normal(0, 5, samples) + left * inside + rng.normal(size=inside.shape), inside


@pytest.mark.parametrize("models", [6, 10])
def test_nothing_is_found_of_what_is_forgotten(models: int):
    found = [u_lira(*made_up(0.0, models, seed=seed)) for seed in range(40)]
    assert {len(each) for each in found} == {models}
    aucs = [np.mean([each.auc for each in of_seed]) for of_seed in found]
    assert np.mean(aucs) == pytest.approx(0.5, abs=4 * np.std(aucs, ddof=1) / np.sqrt(40))  # 0.459 and 0.483 with pairs
    assert np.std(aucs, ddof=1) < 0.025


def test_whose_partner_is_missing_is_judged_by_all_others():
    logits, inside = made_up(0.0, models=10, samples=300)
    rows = [0, 1, 2, 3, 4, 6, 7, 9]  # 5 and 8 are not there
    scores = u_lira_scores(logits[rows], inside[rows])
    others = [0, 1, 2, 3, 6, 7, 9]
    np.testing.assert_array_equal(scores[4], lira_scores(logits[4], logits[others], inside[others]))


def test_what_is_left_is_found_as_well_as_theory_says():
    # The target's margin against two normal laws whose means are known to 1 / sqrt(7.5): the attack is a likelihood
    # ratio along (mean in - mean out), so its AUC is that of known means, or a little less.
    best = norm.cdf(1.0 / np.sqrt(2))
    found = np.mean([each.auc for each in u_lira(*made_up(1.0))])
    assert best - 0.06 < found < best
    many = np.mean([each.auc for each in u_lira(*made_up(1.0, models=128))])
    assert many == pytest.approx(best, abs=0.02)


def test_every_model_is_judged_by_the_others_alone():
    logits, inside = made_up(1.0, models=6, samples=20)
    assert (inside[2] != inside[3]).all()  # they share the samples out between them
    expected = lira_scores(logits[2], logits[[0, 1, 4, 5]], inside[[0, 1, 4, 5]])
    pairs = expected[inside[2]][:, None] - expected[~inside[2]]
    assert u_lira(logits, inside)[2].auc == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean())
    with pytest.raises(ValueError, match="there are 5 models; expected at least 6"):
        u_lira(logits[:5], inside[:5])


def test_klom_is_that_of_scipy():
    margins, unlearned = made_up(2.0, models=60, samples=5)
    expected = []
    for sample in range(5):
        edges = np.linspace(margins[:, sample].min(), margins[:, sample].max(), 21)
        p, q = (np.histogram(margins[kind[:, sample], sample], edges)[0] / 30 for kind in (unlearned, ~unlearned))
        shared = p > 0
        expected.append(np.sum(p[shared] * np.log(p[shared] / np.maximum(q[shared], 1e-5))))
        if (q[shared] > 0).all():
            assert expected[-1] == pytest.approx(entropy(p, q))
    np.testing.assert_allclose(klom(margins, unlearned), expected, rtol=1e-9)


def test_margins_beyond_the_published_range_are_clipped():
    margins = np.array([[1e4], [2e4], [3e4], [4e4]])
    assert klom(margins, np.array([[True], [True], [False], [False]])).tolist() == [0.0]


@pytest.mark.parametrize("left", [0.0, 1.0, 3.0])
def test_the_divergence_of_few_models_is_unbiased(left: float):
    found = [klom_of_few(*made_up(left, models=8, seed=seed)).mean() for seed in range(10)]
    closed_form = left**2 / 2  # of two normal laws of variance 1
    assert np.mean(found) == pytest.approx(closed_form, abs=4 * np.std(found, ddof=1) / np.sqrt(10) + 1e-3)
    assert np.std(found) < 0.2


@pytest.mark.parametrize(
    ("margins", "unlearned", "words"),
    [
        (np.zeros((4, 2)), np.zeros((4, 3), bool), r"margins have shape \(4, 2\)"),
        (np.zeros((4, 2)), np.zeros((4, 2), int), "unlearned is int64"),
        (np.full((2, 1), np.nan), np.array([[True], [False]]), "NaN or infinity"),
        (np.zeros((4, 2)), np.ones((4, 2), bool), "sample 0 has 0 models"),
    ],
)
@pytest.mark.parametrize("measure", [klom, klom_of_few])
def test_what_it_is_given_is_checked(measure, margins, unlearned, words):
    with pytest.raises(ValueError, match=words):
        measure(margins, unlearned)


def test_few_are_not_too_few():
    one = np.array([[True], [False], [False]])
    with pytest.raises(ValueError, match="expected at least 2 that unlearned it"):
        klom_of_few(np.arange(3.0)[:, None], one)
    with pytest.raises(ValueError, match="all answer alike"):
        klom_of_few(np.zeros((4, 1)), np.array([[True], [True], [False], [False]]))
