"""Each claim from rows: its outcome, its bounds, and what would decide it."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from overunlearn_jax.auditing._honest_costs import honest_costs
from overunlearn_jax.auditing._verdicts import verdicts
from overunlearn_jax.auditing.junit import write_junit
from overunlearn_jax.reporting.outcomes import SAFE, UNDECIDED, VULNERABLE
from overunlearn_jax.statistics.intervals import paired_difference
from overunlearn_jax.statistics.power import repeats_needed
from tests.auditing.claim_rows import diverging, rows


@pytest.mark.parametrize(
    ("harms", "outcome"),
    [
        ([0.01, 0.02, 0.015], SAFE),
        ([-0.3, -0.31, -0.32], SAFE),
        ([0.3, 0.31, 0.32], VULNERABLE),
        ([0.0, 0.1, 0.05], UNDECIDED),
        ([0.0, 0.2, 0.1], UNDECIDED),
        ([0.0], UNDECIDED),
        ([0.0, 0.0], SAFE),
    ],
)
def test_outcomes(harms: list[float], outcome: str):
    verdict = verdicts(rows(harms), 0.05)[0]
    assert verdict.measure == "class_a"
    assert verdict.outcome == outcome


def test_both_ends_are_one_sided_bounds_and_undecided_claims_say_how_many_seeds():
    harms = [0.0, 0.06, 0.03]
    [of_a, of_b] = verdicts(rows(harms), 0.05)
    assert of_a.harm == pytest.approx(paired_difference(harms, [0, 0, 0], 0.9))
    assert of_a.outcome == UNDECIDED
    needed = repeats_needed(0.02, 0.03)
    assert needed is not None
    assert of_a.seeds_needed == needed > 3
    assert f"; about {needed} seeds would show with 80 % power that it is safe" in of_a.words
    assert "3.0 points, one-sided 95 % bounds -2.1 and 8.1, over 3 seeds and 2000 test images" in of_a.words
    assert "; at most 5.0 allowed: undecided" in of_a.words
    assert (of_b.measure, of_b.outcome) == ("class_b", SAFE)
    [too_high, _] = verdicts(rows([0.0, 0.2, 0.1]), 0.05)
    needed = repeats_needed(0.05, 0.1)
    assert f"; about {needed} seeds would show with 80 % power that it is vulnerable" in too_high.words
    [scattered, _] = verdicts(rows([0.0, 0.11, 0.04]), 0.052)
    assert scattered.seeds_needed is None
    assert "no number of seeds up to 1,000 would show that it is safe" in scattered.words
    [one, _] = verdicts(rows([0.0]), 0.05)
    assert one.words.endswith("one seed has no interval: --seeds=0,1,2 or more gives one")


def test_seeds_that_agree_by_chance_show_no_more_than_one_test_image():
    few = rows([0.03, 0.03], class_a_predicted_before=[30, 6], class_b_test_images=10)
    [of_a, of_b] = verdicts(few, 0.05)
    assert of_a.harm[1:3] == pytest.approx((0.03 - 1 / 36, 0.03 + 1 / 36))
    assert (of_a.outcome, of_a.seeds_needed) == (UNDECIDED, None)
    assert "within one test image of the limit: more test images would decide, more seeds would not" in of_a.words
    assert "over 2 seeds and 36 test images, of which one is 2.78 points; at most 5.0 allowed" in of_a.words
    assert of_b.outcome == UNDECIDED
    assert verdicts(few, 0.058)[0].outcome == SAFE
    assert verdicts(few, 0.001)[0].outcome == VULNERABLE
    assert verdicts(rows([0.0, 0.2, 0.1]), 0.05)[0].harm == pytest.approx(
        paired_difference([0.0, 0.2, 0.1], [0, 0, 0], 0.9)
    )
    [first, *others] = rows([0.03, 0.03], class_b=0.47, class_b_test_images=10)
    del first["class_b_test_images"]  # a row that was written before it was noted
    assert verdicts([first, *others], 0.05)[1].images == 10


@pytest.mark.parametrize("honest", [0.9, 0.84, 0.86, 0.57])
@pytest.mark.parametrize(("harm", "outcome"), [(0.04, SAFE), (0.05, UNDECIDED), (0.06, UNDECIDED), (0.07, VULNERABLE)])
def test_rounding_decides_nothing(honest: float, harm: float, outcome: str):
    exact = [
        row | {"class_a": honest if row["attack"] == "normal" else honest - harm, "class_a_predicted_before": [100]}
        for row in rows([0.0, 0.0, 0.0])
    ]
    for_a = verdicts(exact, 0.05)[0]
    assert for_a.outcome == outcome
    assert (for_a.seeds_needed is None) == (outcome == UNDECIDED)


def test_every_request_size_and_variant_is_a_claim_of_its_own():
    many = [
        *rows([0.0, 0.0], fidelity="corrected", tau=1e-4),
        *rows([0.5, 0.6], fidelity="corrected", tau=1e-3),
        *rows([0.0, 0.0], "noise", fraction=0.5),
        *rows([0.0, 0.0], class_b=None)[2:],  # nothing honest to compare with
    ]
    found = verdicts(many, 0.05)
    assert [(each.request, each.measure, each.outcome) for each in found] == [
        ("pushing_1", "class_a", SAFE),
        ("pushing_1", "class_b", SAFE),
        ("pushing_1", "class_a", VULNERABLE),
        ("pushing_1", "class_b", SAFE),
        ("noise", "class_a", SAFE),
        ("noise", "class_b", SAFE),
        ("pushing_1", "class_a", UNDECIDED),
        ("pushing_1", "class_b", UNDECIDED),
    ]
    assert found[-1].words.endswith("no honest request of the same seeds to compare with: undecided")
    assert found[2].variant == "10 % requested, corrected, tau 0.001"


def test_a_claim_that_the_rows_say_nothing_about_is_undecided(tmp_path: Path):
    found = verdicts(rows([0.0, 0.0], class_b=None), 0.05)
    assert [each.outcome for each in found] == [SAFE, UNDECIDED]
    assert found[1].words == (
        "Pushing-I: over-unlearning II (class dog), 10 % requested: no test images of class dog: undecided"
    )
    suite = ElementTree.parse(write_junit(tmp_path / "junit.xml", found, "service")).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")


def test_a_model_that_only_the_malicious_request_breaks_is_vulnerable():
    found = verdicts(diverging("pushing_1", (2,)), 0.05)
    assert [each.outcome for each in found] == [VULNERABLE, VULNERABLE]
    assert "unlearning diverged (seed 2: weights are NaN), and not after the honest request" in found[0].words
    assert [each.outcome for each in verdicts(diverging("pushing_1", (0, 1, 2)), 0.05)] == [VULNERABLE, VULNERABLE]
    assert [each.outcome for each in verdicts(diverging("normal", (0,)), 0.05)] == [SAFE, SAFE]  # of the other two
    of_nothing = verdicts(diverging("normal", (0, 1, 2)), 0.05)
    assert [each.outcome for each in of_nothing] == [UNDECIDED, UNDECIDED]
    assert "unlearning diverged after the honest request: undecided" in of_nothing[0].words


def test_the_honest_request_s_own_cost_is_a_claim():
    [claim] = honest_costs(rows([0.3, 0.3]), 0.2)
    assert claim.passed
    assert claim.words == (
        "Honest request, 10 % requested: class cat 85.0 % before, 80.0 % after; class dog 50.0 % before, 50.0 % after; "
        "all classes 70.0 % before, 70.0 % after, mean over 2 seeds; at most 20 % of each may be lost: intact; it "
        "changed answers of the model"
    )
    assert claim.changed_nothing == ""
    [small, large] = honest_costs([*rows([0.0]), *rows([0.0], fraction=0.5, overall=0.5)], 0.2)
    assert small.passed
    assert (large.outcome, large.variant) == ("destroyed", "50 % requested")
    assert "no malicious one can take" in large.words
    assert honest_costs(rows([0.0], class_b=0.4), 0.2)[0].passed  # a fifth of 50 %
    assert not honest_costs(rows([0.0], class_b=0.39), 0.2)[0].passed
    assert honest_costs(rows([0.0], class_b=None), 0.2)[0].passed  # of the others


def test_a_model_that_an_honest_request_breaks_is_destroyed():
    [claim] = honest_costs(diverging("normal", (1,)), 0.2)
    assert (claim.outcome, claim.diverged) == ("destroyed", (1,))
    assert "mean over 2 seeds" in claim.words
    assert "; unlearning diverged (seed 1: weights are NaN); " in claim.words
    [of_all] = honest_costs(diverging("normal", (0, 1, 2)), 0.2)
    assert "nothing was measured, mean over 0 seeds" in of_all.words
    assert (of_all.passed, of_all.changed_nothing) == (False, "")


@pytest.mark.parametrize(
    ("weights", "told"),
    [(False, "none of the measured numbers, and no weight."), (True, "numbers, though it changed weights.")],
)
def test_a_service_that_changes_nothing_is_told_of_aloud(weights: bool, told: str):
    same = {"class_a_before": 0.8, "class_a_predicted": [1700, 300], "weights_changed": weights}
    [claim] = honest_costs(rows([0.0, 0.0], **same), 0.2)
    assert claim.passed
    assert told in claim.changed_nothing
    measured = [row | {"forget_accuracy": 0.9} for row in rows([0.0, 0.0], **same)]
    assert claim.changed_nothing.endswith("--forgetting measures it")
    assert honest_costs(measured, 0.2)[0].changed_nothing.endswith("See what was measured of forgetting")
    older = [{key: value for key, value in row.items() if key != "weights_changed"} for row in rows([0.0], **same)]
    [claim] = honest_costs(older, 0.2)
    assert claim.changed_nothing.startswith("it changed none of the measured numbers. Nothing here shows that")


@pytest.mark.parametrize("nothing", [[], rows([0.0, 0.0])[:2]])
def test_rows_without_a_malicious_request_are_no_verdict(nothing: list[dict]):
    with pytest.raises(ValueError, match=f"{len(nothing)} rows, none of a malicious request"):
        verdicts(nothing, 0.05)
