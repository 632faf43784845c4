"""Models that forget halves of the same samples: who is trained on what, records, and what the page says."""

from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.controls import rates
from experiments.controls.cells import Cell
from experiments.run.records import append_records, read_records
from experiments.u_lira import measure, page
from experiments.u_lira.audited import audited, train_or_find, trained_first
from experiments.u_lira.measure import FILE, NOTHING, Plan, measure_seed
from experiments.u_lira.resampling import interval, resampled_aucs
from overunlearn_jax.data import load
from overunlearn_jax.forgetting import shadow_subsets, u_lira, u_lira_scores
from tests.experiments.running import MakeConfig

PLAN = Plan(models=6, requested=4, train_samples=40, honest_cost=0.05)
METHODS = ["gradient_ascent", "first_order"]  # the latter has no rate for some of these models


def test_every_model_has_its_own_half_and_shares_the_rest():
    splits = load("digits", seed=0)
    found = audited(splits, 3, models=6, requested=5, train_samples=100, key=jax.random.key(0))
    assert (found.samples.labels == 3).all()
    assert (found.inside.sum(0) == 3).all()
    shared = set(found.splits.train.ids.tolist())
    audited_ids = set(found.samples.ids.tolist())
    assert (len(shared), len(audited_ids), shared & audited_ids) == (95, 10, set())
    for number in range(6):
        ids = found.splits_of(number).train.ids.tolist()
        assert (len(ids), len(set(ids))) == (100, 100)
        assert set(ids) - shared == set(found.own(number).ids.tolist()) == set(found.samples.ids[found.inside[number]])


@pytest.mark.parametrize(
    ("requested", "train_samples", "words"),
    [
        (1000, 1200, "--requested=1000: 2000 samples of class A are audited, and there are"),
        (5, 5, "--train_samples=5: expected 6 ..."),
        (5, 10**6, "--train_samples=1000000: expected 6 ..."),
    ],
)
def test_more_than_there_is(requested: int, train_samples: int, words: str):
    with pytest.raises(ValueError, match=words):
        audited(load("digits", seed=0), 3, 6, requested, train_samples, jax.random.key(0))


def test_models_come_in_pairs():
    with pytest.raises(ValueError, match="--models=7: expected an even number"):
        audited(load("digits", seed=0), 3, 7, 5, 100, jax.random.key(0))


def test_models_that_are_there_come_first(config: MakeConfig):
    settings = config(epochs=1)
    audit = audited(load("digits", seed=0), 3, models=6, requested=4, train_samples=40, key=jax.random.key(0))
    assert trained_first(settings, 0, audit) == [0, 1, 2, 3, 4, 5]
    for number in (4, 2):
        train_or_find(settings, 0, audit, number)
    assert trained_first(settings, 0, audit) == [2, 4, 0, 1, 3, 5]


def test_records_are_made_once(config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rates, "GRID", np.array([1e-3, 1e2, 1e4, 1e6]))  # so that some rate costs enough
    monkeypatch.setattr(rates, "HALVINGS", 2)
    path = tmp_path / FILE
    settings = config(patience=2, epochs=2)
    measure_seed(settings, 0, PLAN, METHODS[:1], path, "x")
    first = read_records(path)
    measure_seed(settings, 0, PLAN, METHODS, path, "x")
    rows = read_records(path)
    assert rows[: len(first)] == first
    assert [(row["method"], row["model_number"]) for row in rows[len(first) :]] == [
        ("first_order", number) for number in range(6)
    ]
    by = {(row["method"], row["model_number"]): row for row in rows}
    assert len(by) == len(rows) == 18
    assert all(len(row["inside"]) == 8 and sum(row["inside"]) == 4 for row in rows)
    assert by[NOTHING, 0]["margins"] != by[METHODS[0], 0]["margins"]
    steps = [by["first_order", number] for number in range(6)]
    assert all((row["rate"] is None) == (row["margins"] is None) for row in steps)
    assert any(row["margins"] for row in steps)
    monkeypatch.setattr(measure, "CELLS", [Cell(METHODS[0], "", "learning_rate=1e-6,steps=2")])
    measure_seed(settings, 0, PLAN, METHODS, path, "x")  # another strength is no record that is there
    assert {each["reading"] for each in read_records(path) if each["method"] == METHODS[0]} == {
        by[METHODS[0], 0]["reading"],
        "learning_rate=1e-6,steps=2",
    }
    with pytest.raises(ValueError, match="holds records of other settings"):
        measure_seed(settings, 0, PLAN._replace(requested=3), METHODS, path, "x")
    text = page.write(path).read_text()
    assert [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")][2:4] == [
        "nothing was forgotten",
        METHODS[0],
    ]


def test_intervals_of_models_that_share_judges_and_samples_hold_the_truth():
    found = []
    for seed in range(30):
        rng, inside = np.random.default_rng(seed), shadow_subsets(jax.random.key(seed), 100, 8)
        logits = rng.normal(0, 5, 100) + rng.normal(size=inside.shape)  # nothing is left of what was forgotten
        scores = u_lira_scores(logits, inside)
        found.append(interval(resampled_aucs(scores, inside), 8))
        assert found[-1].mean == pytest.approx(np.mean([each.auc for each in u_lira(logits, inside)]))
    assert sum(each.low <= 0.5 <= each.high for each in found) >= 28
    wide = np.mean([each.high - each.low for each in found]) / (2 * 1.96)
    assert np.std([each.mean for each in found], ddof=1) < wide < 0.05


def row(method: str, number: int, inside: list[int], margins: list[float] | None) -> dict:
    known = {"overall": 0.7, "class_a": 0.6, "forget_accuracy": 1.0}
    return {
        "seed": 0, "method": method, "reading": "x=1", "model": "VGG-3 width 16", "model_number": number,
        "train_samples": 100, "requested": 3, "inside": inside, "margins": margins, "commit": "abc", "device": "a CPU",
        "command": "python x.py",
    } | (known if margins else dict.fromkeys(known))  # fmt: skip


def test_the_page_says_who_can_tell(tmp_path: Path):
    draws, rows = np.random.default_rng(0), []
    halves = [[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]
    for number in range(8):
        inside, noise = halves[number % 2], draws.normal(size=6)
        rows.append(row(NOTHING, number, inside, (20 * np.array(inside) + noise).tolist()))
        rows.append(row("influence", number, inside, None))
        rows.append(row("scrub", number, inside, (noise + draws.normal(size=6)).tolist() if number else None))
    with pytest.raises(ValueError, match="no record of a model"):
        page.write(tmp_path / FILE)
    append_records(tmp_path / FILE, rows)
    text = page.write(tmp_path / FILE).read_text()
    assert text == page.markdown(rows)
    assert "with an area under the curve of 1.000 [1.000, 1.000]." in text.split("|")[0]
    other = [
        each | {"reading": "x=2"} for each in rows if each["method"] == "scrub"
    ]  # another strength is another line
    assert [(each.method, each.name) for each in page.by_method([*rows, *other], 0)][1:] == [
        ("scrub", "x=1"),
        ("scrub", "x=2"),
    ]
    plain, scrub = page.by_method(rows, 0)
    assert (plain.models, plain.left_out, scrub.models, scrub.left_out) == (8, 0, 7, 1)
    assert plain.klom > 100
    assert plain.less is None
    assert scrub.less.mean == pytest.approx(1 - scrub.auc.mean)  # of the seven models that are left
    assert scrub.less.count == 7
    assert 0.2 < scrub.auc.mean < 0.8
    assert "| 7 (1 left out) |" in text
    assert "Not judged, fewer than 6 models left: influence." in text
