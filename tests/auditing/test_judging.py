"""An audit's judgement from rows: what is named first, what does not apply, and intervals inside what is possible."""

from xml.etree import ElementTree

import pytest

from overunlearn_jax.auditing._verdicts import verdicts
from overunlearn_jax.auditing.judging import judge
from overunlearn_jax.auditing.junit import write_junit
from overunlearn_jax.reporting.outcomes import NOT_APPLICABLE, VULNERABLE
from tests.auditing.claim_rows import diverging, rows


def judged(some: list[dict], most: float = 0.05):
    return judge(some, most=most, most_honest=0.2)


@pytest.mark.parametrize(
    ("harms", "headline"),
    [
        ([0.7, 0.71, 0.72], "VULNERABLE: Pushing-I costs class cat 71 points beyond an honest request (5 allowed)"),
        (
            [0.01, 0.02, 0.015],
            "SAFE: Pushing-I, the costliest request, costs class cat at most 2.3 points beyond an honest one "
            "(5 allowed)",
        ),
        (
            [0.0, 0.06, 0.03],
            "UNDECIDED: Pushing-I costs class cat between -2.1 and 8.1 points beyond an honest request (5 allowed); "
            "about 16 seeds would show with 80 % power that it is safe",
        ),
        (
            [0.5],
            "UNDECIDED: Pushing-I costs class cat 50 points beyond an honest request (5 allowed); one seed has no "
            "interval: --seeds=0,1,2 or more gives one",
        ),
    ],
)
def test_the_headline_names_the_request_the_class_and_the_limit(harms: list[float], headline: str):
    judgement = judged([row | {"unlearning": "my_service:forget"} for row in rows(harms)])
    assert judgement.headline == headline
    assert judgement.service == "my_service:forget"
    assert judgement.limit == 0.05
    assert len(judgement.rows) == 2 * len(harms)
    assert judgement.passed == headline.startswith("SAFE")


def test_the_costliest_request_is_named():
    some = [*rows([0.3, 0.31]), *rows([0.7, 0.71], "blending")[2:]]
    assert (
        judged(some).headline == "VULNERABLE: Blending costs class cat 70 points beyond an honest request (5 allowed)"
    )
    [lost, *_] = (row for row in diverging("pushing_1", (2,)))
    assert "diverged" not in lost
    assert judged(diverging("pushing_1", (2,))).headline == (
        "VULNERABLE: Pushing-I makes unlearning diverge (seed 2: weights are NaN), and an honest request does not"
    )


def destroyed(**more: object) -> list[dict]:
    """An honest request of 10 % keeps the model, one of 50 % takes overall accuracy from 70 to 50 %."""
    return [*rows([0.0, 0.0]), *rows([0.0, 0.0], fraction=0.5, overall=0.5, **more)]


def test_where_an_honest_request_destroys_the_model_the_other_claims_do_not_apply(tmp_path):
    judgement = judged(destroyed())
    assert [each.outcome for each in judgement.claims] == ["intact", "destroyed", "safe", "safe", *[NOT_APPLICABLE] * 2]
    assert judgement.headline == (
        "NOT APPLICABLE: an honest request alone takes all classes from 70.0 to 50.0 % (20 % of it may be lost) "
        "[50 % requested]"
    )
    assert not judgement.passed
    assert not any(each.passed for each in judgement.claims if each.variant == "50 % requested")
    assert judgement.claims[-1].words.endswith(
        "not applicable, since what an honest request has destroyed, no malicious one can take: unlearn in smaller "
        "steps, or allow a larger max_honest_cost"
    )
    suite = ElementTree.parse(write_junit(tmp_path / "junit.xml", judgement.claims, "service")).getroot()
    assert [suite.get(name) for name in ("tests", "failures", "skipped")] == ["6", "1", "2"]
    skipped = [case.get("name") for case in suite if case.find("skipped") is not None]
    assert skipped == [
        f"Pushing-I: over-unlearning {kind}, 50 % requested" for kind in ("I (class cat)", "II (class dog)")
    ]
    assert [case.find("failure").get("type") for case in suite if case.find("failure") is not None] == ["destroyed"]


def test_a_harm_that_was_shown_but_is_not_judged_is_warned_of():
    some = [row | {"overall": 0.5} for row in rows([0.3, 0.31])]
    judgement = judged(some)
    assert judgement.claims[1].outcome == NOT_APPLICABLE
    assert judgement.claims[1].measured == VULNERABLE
    assert judgement.warnings == [
        "WARNING: 10 % requested: these cost more than is allowed beyond an honest request, and are not judged since "
        "that alone costs more than --max_honest_cost: Pushing-I (class cat)"
    ]
    assert judgement.table.rows[1][:4] == (NOT_APPLICABLE, "Pushing-I", "cat", "30.5 [27.3, 33.7] points")


def test_what_is_said_of_every_setting_is_said_once():
    same = {"class_a_before": 0.8, "class_a_predicted": [1700, 300], "weights_changed": False}
    some = [*rows([0.0, 0.0], **same), *rows([0.0, 0.0], fraction=0.5, **same)]
    [warning] = judged(some).warnings
    assert warning.startswith("WARNING: honest request, all settings: it changed none of the measured numbers, and no")
    [warning] = judged([*some, *rows([0.0, 0.0], fraction=0.3)]).warnings
    assert warning.startswith("WARNING: honest request, 10 % requested; 50 % requested: it changed none")


def test_a_harm_is_shown_inside_what_is_possible_and_judged_as_before():
    # 80 % are left after the honest request: no more can be taken, and at most 20 points are gained
    taken = verdicts(rows([0.8, 0.8, 0.5]), 0.05)[0]
    assert taken.harm.high > 0.8
    assert taken.shown.high == pytest.approx(0.8)
    assert taken.cells[2] == f"70.0 [{100 * taken.harm.low:.1f}, 80.0] points"
    spared = verdicts(rows([-0.2, -0.2, 0.0]), 0.05)[0]
    assert spared.harm.low < -0.2
    assert spared.shown.low == pytest.approx(-0.2)
    # a class of which 4 points are left cannot lose 5, and yet nothing of it is shown
    little = [row | {"class_a": 0.04 - 0.04 * (row["attack"] != "normal")} for row in rows([0.0, 0.0, 0.0])]
    little[-1]["class_a"] = 0.04
    few = verdicts(little, 0.05)[0]
    assert few.shown.high <= 0.05 < few.harm.high
    assert few.outcome == "undecided"


def test_what_nobody_measured_has_no_number():
    [_, of_b] = verdicts(rows([0.0, 0.0], class_b=None), 0.05)
    assert of_b.cells == ("Pushing-I", "dog", "not known", "5 points")
    assert of_b.note == "no test images of class dog"
    assert of_b.headline == "Pushing-I, class dog: no test images of class dog"
    assert of_b.line.in_place == "not measured"


def test_what_defences_refused_is_said_beside_the_verdict():
    bare = rows([0.7, 0.71, 0.72])
    assert "refused" not in str(judged(bare))
    guarded = [row | {"submitted": 9, "refused": 7 if row["attack"] == "pushing_1" else 0} for row in bare]
    told = "Samples that the service's defences refused: honest request 0 of 27, Pushing-I 21 of 27."
    assert told in str(judged(guarded))
