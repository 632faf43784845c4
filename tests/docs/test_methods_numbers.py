"""What is found about the twelve methods is what their rows say."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from experiments.methods.choice import Chosen, choose, tried
from experiments.methods.grid import LADDERS, all_runs
from experiments.suites.places import read_findings
from overunlearn_jax.reporting import read_rows
from overunlearn_jax.reporting.wording import interval_text
from overunlearn_jax.statistics.intervals import Interval

ROWS = Path(__file__).parents[2] / "experiments" / "results" / "methods"
REQUESTS = ("normal", "noise", "blending", "pushing_1", "pushing_2")
APPROXIMATE = (
    "influence", "gradient_ascent", "fine_tuning", "random_labels", "salun", "neg_grad_plus", "scrub",
    "selective_dampening",
)  # fmt: skip


@pytest.fixture(scope="module")
def results() -> dict:
    return {run.folder: read_rows(ROWS / run.folder / "results.jsonl") for run in all_runs()}


@pytest.fixture(scope="module")
def chosen(results: dict) -> Mapping[str, Chosen]:
    return {method: found for method in LADDERS if (found := choose(results, method))}


@pytest.fixture(scope="module")
def at(results: dict) -> Mapping[tuple[str, str], Chosen]:
    return {(method, each.setting): each for method in LADDERS for each in tried(results, method)}


def told(part: str) -> list[str]:
    return [" ".join(each.split()) for each in read_findings(ROWS)[part]]


def points(value: Interval | None) -> str:
    return interval_text(value, 100, 1)


def mean(value: Interval | None) -> str:
    assert value is not None
    return f"{100 * value.mean:.1f}"


def push(run: Chosen, measure: str = "class_a") -> Interval | None:
    return run.harm("pushing_2", measure)


def test_all_methods_unlearn_the_same_victims(chosen: Mapping[str, Chosen]):
    victims = {method: {row["victim"] for row in each.rows} for method, each in chosen.items()}
    own = victims.pop("sisa")
    assert len({frozenset(each) for each in victims.values()}) == 1
    assert not own & victims["first_order"]
    right = [f"{100 * row['overall_before']:.1f}" for row in chosen["first_order"].of("normal").values()]
    assert f"the same for every method but SISA: {', '.join(right)} % of the test images right" in told("about")[0]


def test_selective_dampening(at: Mapping[tuple[str, str], Chosen]):
    text = told("harm")[0]
    by = {selection: at["selective_dampening", f"selection={selection},retain_samples=2000"]
          for selection in (50, 20, 10, 5)}  # fmt: skip
    assert f"an honest request changes nothing ({points(by[10].honest_cost())} points of class A)" in text
    left = [100 * row["class_a"] for row in by[10].of("pushing_2").values()]
    assert f"Pushing-II takes {points(push(by[10]))}: {min(left):.0f} to {max(left):.1f} % of class A are left" in text
    assert {row["class_a"] for row in by[5].of("pushing_2").values()} == {0.0}
    assert f"and {points(push(by[5], 'overall'))} points of the overall accuracy" in text
    honest, pushed = (by[20].of(request).values() for request in ("normal", "pushing_2"))
    lost = [100 * (one["class_a"] - other["class_a"]) for one, other in zip(honest, pushed, strict=True)]
    assert f"at 20 the three victims lose {lost[0]:.0f}, {lost[1]:.0f} and {lost[2]:.0f} points, at 50 no" in text
    assert all(row["class_a"] == row["class_a_before"] for row in by[50].rows)
    before, harm = by[10].values("normal", "class_a_before"), push(by[10])
    assert before is not None
    assert harm is not None
    page = " ".join((ROWS.parents[2] / "docs" / "defences.md").read_text().split())
    assert f"loses {100 * harm.mean:.0f} of {100 * before.mean:.0f} points of the class to Pushing-II" in page


def test_what_climbs_the_loss(chosen: Mapping[str, Chosen], at: Mapping[tuple[str, str], Chosen]):
    text = told("harm")[1]
    step, ascent, descent, influence = (
        chosen[name] for name in ("first_order", "gradient_ascent", "neg_grad_plus", "influence")
    )
    assert f"costs class A {mean(step.honest_cost())} and {mean(ascent.honest_cost())} points" in text
    assert f"Pushing-II costs {mean(push(step))} more with first_order and {mean(push(ascent))} more with" in text
    cost = points(descent.honest_cost())
    assert f"an honest request costs {cost} and Pushing-II {points(push(descent))} more" in text
    assert f"gives {mean(push(influence))} at an honest cost of {mean(influence.honest_cost())}" in text
    smaller = at["influence", "damping=0.1,hessian_samples=512,iterations=30"]
    assert all(len(smaller.diverged(request)) == 3 for request in REQUESTS)


def test_training_on_wrong_labels(chosen: Mapping[str, Chosen], at: Mapping[tuple[str, str], Chosen]):
    text = told("harm")[2]
    labels, tuning, scrub = (chosen[name] for name in ("random_labels", "fine_tuning", "scrub"))
    stronger = at["random_labels", "learning_rate=3e-06,steps=50"]
    assert f"than for its original: {points(push(labels))} points, and {points(push(stronger))} at 3e-6" in text
    apart = max(
        abs(one.of(request)[seed][measure] - other.of(request)[seed][measure])
        for rate in ("1e-06", "3e-06")
        for one, other in [[at[name, f"learning_rate={rate},steps=50"] for name in ("random_labels", "salun")]]
        for request in REQUESTS
        for seed in range(3)
        for measure in ("class_a", "class_b", "overall")
    )
    assert f"the two differ by at most {100 * apart:.1f} points" in text
    assert f"undecided for pushes ({points(push(tuning))} and {points(push(scrub))})" in text
    blended = [each.harm("blending", "class_b") for each in (labels, scrub)]
    assert f"for random_labels and scrub ({points(blended[0])} and {points(blended[1])})" in text
    for undecided in (push(tuning), push(scrub), *blended):
        assert undecided is not None
        assert undecided.low < 0 < undecided.high
    fast = at["scrub", "learning_rate=0.003"]
    assert {request: len(fast.diverged(request)) for request in REQUESTS} == {
        "normal": 0, "noise": 0, "blending": 3, "pushing_1": 3, "pushing_2": 2,
    }  # fmt: skip


def test_what_finds_the_originals(chosen: Mapping[str, Chosen]):
    text = told("harm")[3]
    sisa, exact, tuning = (chosen[name] for name in ("sisa", "retrain", "retain_tuning"))
    for each in (sisa, exact, tuning):
        found = each.values("pushing_1", "matched_to_original")
        assert found is not None
        assert found.mean == 1
        harmed = push(each)
        assert harmed is not None
        assert harmed.mean == 0
        blended = each.values("blending", "matched_to_original")
        assert blended is not None
        assert 0.025 < blended.mean < 0.045
        harmed = each.harm("blending", "class_a")
        assert harmed is not None
        assert harmed.low < 0 < harmed.high
    assert (
        f"{points(sisa.harm('blending', 'class_a'))} points for SISA, {points(exact.harm('blending', 'class_a'))} for "
        f"retraining, {points(tuning.harm('blending', 'class_a'))} for retain_tuning"
    ) in text


def test_forgetting(chosen: Mapping[str, Chosen]):
    text, _, exact = told("forgetting")

    def beyond(method: str, which: str = "") -> Interval:
        found = chosen[method].beyond_retrained("normal", "confidence_auc", which)
        assert found is not None
        return found

    def auc(suffix: str) -> str:
        return interval_text(chosen["first_order"].values("normal", f"confidence_auc_{suffix}"), 1, 3)

    step = beyond("first_order")
    assert f"with an AUC of {auc('before')}, that of the retrained models with {auc('retrained')}" in text
    assert f"the victims stand {interval_text(beyond('first_order', '_before'), 1, 3)} above" in text
    others = [beyond(method) for method in APPROXIMATE]
    low, high = (pick(each.mean for each in others) for pick in (min, max))
    assert f"first_order stands at {interval_text(step, 1, 3)}" in text
    assert f"between {low:.3f} and {high:.3f}, all of them with intervals above 0" in text
    assert min(each.low for each in (step, *others)) > 0
    assert f"retain_tuning, at {interval_text(beyond('retain_tuning'), 1, 3)}, is undecided" in text
    assert beyond("retain_tuning").low < 0 < beyond("retain_tuning").high
    known = [chosen[method].values("normal", "forget_accuracy") for method in ("first_order", *APPROXIMATE)]
    low, high = (pick(each.mean for each in known if each is not None) for pick in (min, max))
    retrained = chosen["first_order"].values("normal", "forget_accuracy_retrained")
    assert retrained is not None
    kept = f"{100 * low:.0f} to {100 * high:.0f} %"
    assert f"stays at {kept}, the retrained models' is {100 * retrained.mean:.0f}" in text
    steps = chosen["first_order"].values("normal", "relearn_steps_retrained")
    assert f"the retrained models need {interval_text(steps, 1, 1)} steps" in text
    needs_none = [
        method
        for method in ("first_order", *APPROXIMATE)
        if not any(row["relearn_steps"] for row in chosen[method].of("normal").values())
    ]
    assert f"and after {', '.join(needs_none[:-1])} and {needs_none[-1]} no network needs any" in text
    assert f"three seeds tell {interval_text(beyond('retrain'), 1, 3)}. SISA stands at" in exact
    assert interval_text(beyond("sisa"), 1, 3) in exact
