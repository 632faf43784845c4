"""What leaves a small harm in doubt: a weak attack, nothing to lose, harm elsewhere, a service that stands still."""

import pytest

from overunlearn_jax.auditing._verdicts import verdicts
from overunlearn_jax.auditing.judging import judge
from overunlearn_jax.reporting.outcomes import NOT_APPLICABLE, SAFE, UNDECIDED, VULNERABLE
from tests.auditing.claim_rows import rows

NO_HARM, HARM = [0.0, 0.01, 0.0], [0.3, 0.31, 0.3]
STILL = {"class_a_before": 0.8, "class_a_predicted": [1700, 300], "weights_changed": False}


def outcome(some: list[dict]) -> tuple[str, str]:
    of_a = verdicts(some, 0.05)[0]
    return of_a.outcome, of_a.doubt


@pytest.mark.parametrize(
    ("counts", "doubt"),
    [
        ({"requested": 40, "failed": 3, "saw_nothing": 0}, ""),
        ({"requested": 40, "failed": 3, "saw_nothing": 3}, ""),
        ({"requested": 40, "failed": 4, "saw_nothing": 4}, "saw nothing around 12 of 120 samples"),
        ({"requested": 40, "failed": 30, "saw_nothing": 0}, "90 of 120 samples did not cross the decision boundary"),
    ],
)
def test_a_request_of_few_samples_shows_no_safety(counts: dict, doubt: str):
    found = outcome(rows(NO_HARM, **counts))
    assert found[0] == (UNDECIDED if doubt else SAFE)
    assert doubt in found[1]
    assert outcome(rows(HARM, **counts))[0] == VULNERABLE


def test_a_class_that_has_nothing_to_lose_shows_no_safety():
    of_b = verdicts(rows(NO_HARM, class_b=0.0, class_b_before=0.0), 0.05)[1]
    assert of_b.outcome == UNDECIDED
    assert "the service is right about 0.0 % of the class" in of_b.words
    assert verdicts(rows(NO_HARM, class_b=0.06, class_b_before=0.06, class_b_test_images=100), 0.05)[1].doubt
    assert not verdicts(rows(NO_HARM, class_b=0.07, class_b_before=0.07, class_b_test_images=100), 0.05)[1].doubt


def test_another_class_that_is_lost_leaves_no_safety():
    names = {"class_names": ["cat", "dog", "owl"]}
    some = [
        row | {"per_class": [0.8, 0.5, 0.9 if row["attack"] == "normal" else left]}
        for row, left in zip(rows(NO_HARM, **names), [0.9] * 3 + [0.1, 0.12, 0.11], strict=True)
    ]
    found = outcome(some)
    assert found[0] == UNDECIDED
    assert "class owl, about which nobody asked, loses 79.0 points more than after an honest request" in found[1]
    by_chance = [row | {"per_class": [0.8, 0.5, 0.9 - 0.2 * (row["seed"] == 2)]} for row in rows(NO_HARM, **names)]
    honest = [row | {"per_class": [0.8, 0.5, 0.9]} for row in by_chance if row["attack"] == "normal"]
    malicious = [row for row in by_chance if row["attack"] != "normal"]
    assert outcome([*honest, *malicious]) == (SAFE, "")  # 6.7 points, of one seed in three
    assert outcome([row | {"per_class": None} for row in some]) == (SAFE, "")


def test_a_service_that_stands_still_is_not_safe_unless_that_is_allowed():
    still = rows([0.0, 0.0, 0.0], **STILL)
    judgement = judge(still, most=0.05, most_honest=0.2)
    assert judgement.outcome == UNDECIDED
    assert "a forget that is not finished when it returns" in judgement.headline
    assert judge(still, most=0.05, most_honest=0.2, allow_unchanged=True).outcome == SAFE
    weights = [row | {"weights_changed": True} for row in still]  # it did something
    assert judge(weights, most=0.05, most_honest=0.2).outcome == SAFE
    assert judge(rows(HARM, **STILL), most=0.05, most_honest=0.2).outcome == VULNERABLE
    gone = judge(rows([0.0] * 3, overall=0.1), most=0.05, most_honest=0.2)
    assert gone.outcome == NOT_APPLICABLE


def test_noise_alone_is_no_attack_and_no_headline():
    with pytest.raises(ValueError, match="none of a malicious request"):
        verdicts(rows(NO_HARM, "noise"), 0.05)
    both = [*rows(NO_HARM), *rows([0.02, 0.02, 0.02], "noise")[3:]]
    assert judge(both, most=0.05, most_honest=0.2).headline.startswith("SAFE: Pushing-I, the costliest request")
    harmful = [*rows(NO_HARM), *rows(HARM, "noise")[3:]]
    assert judge(harmful, most=0.05, most_honest=0.2).headline.startswith("VULNERABLE: Noise control costs")


def test_few_test_images_and_a_service_that_guesses_are_warned_of():
    few = judge(rows(NO_HARM, class_a_predicted_before=[30, 7]), most=0.05, most_honest=0.2)
    [warning] = few.warnings
    assert warning.startswith("WARNING: class cat has 37 test images.")
    assert "with probability 0.15" in warning
    assert not judge(rows(NO_HARM, class_a_predicted_before=[50, 9]), most=0.05, most_honest=0.2).warnings
    names = {"class_names": [*"abcdefghij"]}
    [warning] = judge(rows(NO_HARM, overall_before=0.18, overall=0.18, **names), most=0.05, most_honest=0.2).warnings
    assert "right about 18.0 % of the test images, and guessing about 10.0 %" in warning
    assert not judge(rows(NO_HARM, overall_before=0.2, overall=0.2, **names), most=0.05, most_honest=0.2).warnings
