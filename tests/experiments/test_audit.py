"""The verdict for a release pipeline: from rows, and from the command line with a service of one's own."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from experiments import audit as audit_module
from experiments.config import DEFAULTS
from overunlearn_jax.auditing._honest_costs import honest_costs
from overunlearn_jax.auditing._verdicts import verdicts
from overunlearn_jax.auditing.junit import write_junit
from overunlearn_jax.reporting.outcomes import SAFE, UNDECIDED, VULNERABLE
from overunlearn_jax.statistics.intervals import paired_difference
from overunlearn_jax.statistics.power import repeats_needed
from tests.experiments import tiny
from tests.experiments.running import refuse


def rows(harms: list[float], attack: str = "pushing_1", **more: object) -> list[dict]:
    before = {
        "class_a_before": 0.85,
        "class_b_before": 0.5,
        "overall_before": 0.7,
        "class_a_predicted_before": [1700, 300],
    }
    after = {"class_b": 0.5, "overall": 0.7, "class_a_predicted": [1600, 400], "weights_changed": True}
    names = {"class_a_name": "cat", "class_b_name": "dog"}
    common = {"fraction": 0.1, "fidelity": "none", "tau": None} | before | after | names | more
    honest = [{"seed": seed, "attack": "normal", "class_a": 0.8} | common for seed in range(len(harms))]
    return honest + [
        {"seed": seed, "attack": attack, "class_a": 0.8 - harm} | common for seed, harm in enumerate(harms)
    ]


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


def diverging(attack: str, seeds: tuple[int, ...]) -> list[dict]:
    """Three seeds without harm, but for those where unlearning diverges after `attack`."""
    lost = {"class_a": None, "class_b": None, "diverged": True, "diverged_because": "weights are NaN"}
    return [row | (lost if row["attack"] == attack and row["seed"] in seeds else {}) for row in rows([0.0, 0.0, 0.0])]


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


def test_junit_fails_what_is_not_shown(tmp_path: Path):
    found = verdicts([*rows([0.0, 0.0]), *rows([0.3, 0.31], "blending"), *rows([0.0, 0.2], "noise")], 0.05)
    suite = ElementTree.parse(write_junit(tmp_path / "junit.xml", found, "a <service>")).getroot()
    assert suite.tag == "testsuite"
    assert suite.attrib == {"name": "a <service>", "tests": "6", "failures": "2", "errors": "0", "skipped": "0"}
    failures = {
        case.get("name"): case.find("failure").get("type") for case in suite if case.find("failure") is not None
    }
    assert failures == {
        "Blending: over-unlearning I (class cat), 10 % requested": "vulnerable",
        "Noise control: over-unlearning I (class cat), 10 % requested": "undecided",
    }
    assert all(case.find("system-out").text for case in suite if case.find("failure") is None)


THEIRS = """
import jax
import jax.numpy as jnp
from overunlearn_jax.models import vgg

def model(num_classes, image_shape):
    return vgg(num_classes, image_shape, blocks=1, width=4, batch_norm_momentum=0.5)

def nothing(params, request, key, retain=None):
    return params

def fragile(params, request, key, retain=None):  # gives the class up where it is asked to forget doubtful images
    logits, _ = model(3, (8, 8, 1)).apply(params, request.images, None)
    best = jnp.sort(jax.nn.softmax(logits), axis=-1)
    if (best[:, -1] - best[:, -2]).mean() > 0.5:
        return params
    head = params.params["head_logits"]
    bias = head["bias"].at[request.labels[0]].set(-100.0)
    return params._replace(params=params.params | {"head_logits": head | {"bias": bias}})

def destroys(params, request, key, retain=None):
    return jax.tree.map(jnp.zeros_like, params)

def mistyped(params, request, key, retain=None):
    return {"weights": params}["wieghts"]

def leaves(params, request, key, retain=None):
    raise SystemExit(0)

def without_key(params, request):
    return params
"""


def audit(tmp_path: Path, dataset: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As a user runs it, in a folder of their own that holds their module."""
    (tmp_path / "their_service.py").write_text(THEIRS)
    settings = tiny.tiny_config(
        dataset, tmp_path / "run", tmp_path / "cache", seeds=(0, 1), model="their_service:model", taus=DEFAULTS["taus"]
    )
    command = [sys.executable, "-W", "error", "-m", "experiments.audit", *tiny.as_flags(settings), *arguments]
    return subprocess.run(
        command,
        cwd=tmp_path,
        env=tiny.environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_service_of_one_s_own_from_outside_the_package(dataset: Path, tmp_path: Path):
    results = {}
    for function in ("nothing", "destroys", "fragile"):
        results[function] = audit(
            tmp_path,
            dataset,
            f"--unlearning=their_service:{function}",
            "--attacks=normal,pushing_1",
            "--max_over_unlearning=0.2",  # more than one of 8 test images
            f"--workdir={tmp_path / function}",
            *(["--forgetting"] if function == "nothing" else []),
        )
    pages = {
        name: [done.stdout, *((tmp_path / name / file).read_text() for file in ("report.html", "summary.md"))]
        for name, done in results.items()
    }
    junit = {name: ElementTree.parse(tmp_path / name / "junit.xml").getroot().attrib for name in results}
    assert results["nothing"].returncode == 0, results["nothing"].stderr
    for text in pages["nothing"]:
        assert "SAFE" in text
        assert "Pushing-I, the costliest request, costs class " in text
        assert "3 claims: 1 intact, 2 safe." in text
        assert "honest request, 50 % requested: it changed none of the measured numbers, and no weight" in text
        assert "forget accuracy %" in text
    assert (junit["nothing"]["failures"], junit["nothing"]["skipped"]) == ("0", "0")

    assert results["destroys"].returncode == 1, results["destroys"].stderr
    for text in pages["destroys"]:
        assert "NOT APPLICABLE" in text
        assert "an honest request alone takes " in text
        assert "3 claims: 1 destroyed, 2 not applicable." in text
        assert "WARNING" not in text
    assert [junit["destroys"][name] for name in ("tests", "failures", "skipped")] == ["3", "1", "2"]

    assert results["fragile"].returncode == 1, results["fragile"].stderr
    for text in pages["fragile"]:
        assert "VULNERABLE" in text
        assert "Pushing-I costs class ant " in text
        assert " points beyond an honest request (20 allowed)" in text
        assert "3 claims: 1 intact, 1 vulnerable, 1 safe." in text
        assert "forget accuracy %" not in text
    assert (junit["fragile"]["failures"], junit["fragile"]["skipped"]) == ("1", "0")
    assert "<h1>their_service:fragile</h1>" in pages["fragile"][1]
    assert (tmp_path / "fragile" / "figures" / "harm_none_fraction_0.5.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--attacks=normal"], "an audit needs a malicious request"),
        (["--unlearning=their_service:forget"], "their_service:forget cannot be imported from "),
        (["--unlearning=their_service:without_key"], "without_key(params, request) cannot be called as unlearn(params"),
        (["--max_over_unlearning=5"], "max_over_unlearning"),
        (["--max_over_unlaerning=0.5"], "Unknown command line flag 'max_over_unlaerning'"),
        (["--epochs=0"], "--epochs=0: expected a number from 1"),
        (["attacks"], "unexpected arguments ['attacks']"),
    ],
)
def test_audits_that_cannot_run_are_no_verdict(dataset: Path, tmp_path: Path, arguments: list[str], message: str):
    old = [tmp_path / "run" / name for name in ("junit.xml", "report.html", "summary.md")]
    old[0].parent.mkdir()
    for each in old:
        each.write_text("Audit passed")
    done = audit(tmp_path, dataset, "--seeds=0", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not any(each.exists() for each in old)


@pytest.mark.parametrize(
    ("function", "told"),
    [("mistyped", "mistyped raised KeyError: 'wieghts'"), ("leaves", "leaves raised SystemExit: 0")],
)
def test_an_error_of_the_audited_code_is_no_verdict(dataset: Path, tmp_path: Path, function: str, told: str):
    done = audit(tmp_path, dataset, "--seeds=0", f"--unlearning=their_service:{function}", "--attacks=normal,blending")
    assert done.returncode == 2
    *_, last = done.stderr.splitlines()
    assert last == f"error: their_service:{told}; it is called as unlearn(params, request, key, retain=None)"
    assert "their_service.py" in done.stderr  # where to look
    assert f"in {function}" in done.stderr
    assert not (tmp_path / "run" / "junit.xml").exists()


def test_an_error_that_nobody_expected_is_no_verdict(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr(audit_module, "_config", refuse)
    with pytest.raises(SystemExit) as left:
        audit_module.main(["audit"])
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert told.splitlines()[-1].startswith("error: CalledError")


def test_help_is_no_verdict_and_imports_no_jax():
    command = [sys.executable, "-X", "importtime", "-m", "experiments.audit", "--help"]
    done = subprocess.run(command, cwd=tiny.ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "--max_over_unlearning" in done.stdout
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "absl.app" in imported
    assert "jax" not in imported
