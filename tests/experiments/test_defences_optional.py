"""The optional parts of the defences' suite: time, robustness, the server's costs, what stored digests give away."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.controls import rates
from experiments.defences.cases import HONEST_RUNS
from experiments.defences.cells import CELLS
from experiments.defences.method_bounds import CAP, CLIP
from experiments.defences.optional import (
    added_seconds,
    costs_page,
    digests_page,
    robust,
    robust_page,
    seconds_page,
    sisa_costs,
    stored_digests,
)
from experiments.defences.optional.robust import BEFORE, BOUNDED, PUSH, Look, measure_robustness
from experiments.defences.optional.sections import sections
from experiments.defences.optional.server_costs import measure_costs
from experiments.defences.optional.sisa_costs import cost_of, costliest_rows, sisa_records
from experiments.defences.optional.stored_digests import digest_records, measure_digests
from experiments.run.records import read_records
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.data import load
from overunlearn_jax.defences.assembly import ClipsSamples
from overunlearn_jax.services import recipes
from overunlearn_jax.services.around import AroundService
from overunlearn_jax.services.service import After, HasWeights, Variant, after_each
from overunlearn_jax.types import Key, Request
from overunlearn_jax.unlearn.sisa import SisaSettings, assign
from tests.experiments.running import MakeConfig

SMALL = SisaSettings(2, 3, 1, batch_size=1)


def place(count: int = 12, settings: SisaSettings = SMALL):
    return assign(jax.random.key(0), count, settings), settings


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_choice_costs_more_than_the_costliest(count: int):
    assignment, settings = place()
    rows = np.arange(3, 12)
    chosen = costliest_rows(assignment, rows, count)
    for at_once in (True, False):
        own = cost_of(assignment, chosen, settings, at_once=at_once).slices
        others = [
            cost_of(assignment, np.array(some), settings, at_once=at_once).slices for some in combinations(rows, count)
        ]
        assert own == max(others)


def test_one_by_one_costs_each_request_anew():
    assignment, settings = place()
    rows = costliest_rows(assignment, np.arange(12), 2)  # one in the first slice of each of the two shards
    assert cost_of(assignment, rows, settings, at_once=True).slices == 6  # all
    in_one_shard = np.flatnonzero((assignment.shard == 0) & (assignment.slice == 0))
    assert len(in_one_shard) == 2
    assert cost_of(assignment, in_one_shard, settings, at_once=True).slices == 3
    assert cost_of(assignment, in_one_shard, settings, at_once=False).slices == 6
    with pytest.raises(ValueError, match="nothing to delete"):
        cost_of(assignment, np.zeros(0, int), settings, at_once=True)


def test_random_samples_cost_what_is_expected_and_chosen_ones_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sisa_costs, "RANDOM_DRAWS", 100)
    settings = SisaSettings(4, 5, 1, batch_size=1)
    assignment, _ = place(400, settings)
    rows = list(sisa_records(assignment, np.arange(100), settings, seed=0))
    of = {(row["samples"], row["request"], row["at_once"]): row for row in rows}
    assert {key[0] for key in of} == {1, 4, 20}
    for count in (1, 4):
        random = of[count, "random", True]
        assert random["work_share"] == pytest.approx(random["expected_at_once"], rel=0.15)
    assert of[4, "chosen", True]["slices_again"] == 20  # four samples, and everything is trained again
    assert of[4, "chosen", True]["work_share"] == 1
    assert of[1, "chosen", True]["slices_again"] == 5
    assert of[20, "chosen", False]["work_share"] == pytest.approx(5, rel=0.1)  # a shard each time
    text = costs_page.section(rows)
    assert "chooses 4 of their samples, in one request, makes the server train 1.00 times all of it again" in text
    assert (
        "| by the assignment | at once     |                    20.0 |" in text.replace("  |", " |") or "20.0" in text
    )


def test_digests_of_digits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stored_digests, "KNOWN", 60)
    rows = list(digest_records(load("digits", seed=0), seed=0))
    of = {(row["store"], row["thief_knows"], row["image"]): row for row in rows}
    assert of["exact", "nothing", "same image"]["true_positives"] == 1
    assert of["exact", "nothing", "same image"]["false_positives"] == 0
    assert of["exact", "nothing", "jpeg75"]["true_positives"] == 0  # another file
    assert of["exact, keyed", "nothing", "same image"]["auc"] == 0.5
    assert of["phash", "nothing", "jpeg75"]["auc"] > 0.9
    assert of["phash, keyed", "nothing", "same image"]["auc"] == pytest.approx(0.5, abs=0.15)
    assert of["phash, keyed", "the key", "same image"]["true_positives"] == 1
    text = digests_page.section([row | {"seed": 0} for row in rows])
    assert "| exact        | nothing" in text


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "GRID", np.array([1e-3, 1e2, 1e4, 1e6]))  # so that some rate costs enough
    monkeypatch.setattr(rates, "HALVINGS", 2)
    monkeypatch.setattr(robust, "RADII", {"linf": (0.01, 0.1), "l2": (0.5,)})
    monkeypatch.setattr(robust, "NEAR", (0.5,))


def test_robustness_is_measured_once(config: MakeConfig, tmp_path: Path, quick: None):
    look, settings = Look(samples=6, steps=2), config()
    measure_robustness(settings, 0, 0.05, tmp_path, "x", look)
    rows = read_records(tmp_path / "robustness.jsonl")
    assert {row["state"] for row in rows} == {BEFORE, HONEST, PUSH, BOUNDED}
    before = {(row["measure"], row["group"], row["norm"], row["radius"]): row["value"] for row in rows
              if row["state"] == BEFORE}  # fmt: skip
    assert before["right_near_forgotten", "forgotten", "l2", 0.0] == 1  # requests hold what is predicted rightly
    for norm in ("linf", "l2"):
        left = [value for key, value in before.items() if key[:3] == ("accuracy_under_pgd", "class_a", norm)]
        assert left == sorted(left, reverse=True)
        assert left[0] <= before["accuracy", "class_a", None, None]
    measure_robustness(settings, 0, 0.05, tmp_path, "x", look)
    assert read_records(tmp_path / "robustness.jsonl") == rows
    text = robust_page.section(rows)
    assert "| after Pushing-I, step bounded" in text
    assert "Accuracy under PGD, %, class A within 0.5 (L2)" in text
    with pytest.raises(ValueError, match="holds records of other settings"):
        measure_robustness(settings, 0, 0.06, tmp_path, "x", look)
    assert sections(tmp_path) == [text]


def test_costs_are_counted_once(config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from experiments.defences.optional import server_costs

    monkeypatch.setattr(server_costs, "CELLS", CELLS[:1])
    measure_costs(config(), 0, tmp_path, "x")
    rows = read_records(tmp_path / "costs.jsonl")
    steps = {row["request"]: row for row in rows if row["method"] == CELLS[0].method}
    assert steps[HONEST]["gradient_evaluations"] == steps[HONEST]["samples"]
    assert {row["gradient_evaluations"] for row in steps.values()} == {steps[HONEST]["samples"]}  # nobody slows it down
    assert any("slices_again" in row for row in rows)
    measure_costs(config(), 0, tmp_path, "x")
    assert read_records(tmp_path / "costs.jsonl") == rows
    assert "| One sample, as often |" in costs_page.section(rows)


class Timed(AroundService):
    """A deletion takes a second, and nothing else takes any."""

    now = 0.0

    def __init__(self, service: HasWeights):
        super().__init__(service)
        self.model, self.variables = service.model, service.variables
        if isinstance(service, ClipsSamples):
            self.clipping_each = lambda norm: Timed(service.clipping_each(norm))

    @contextmanager
    def after_each(self, requests: Sequence[Request], key: Key) -> Iterator[Mapping[Variant, After]]:
        Timed.now += 1
        with after_each(self._service, requests, key) as left:
            yield left


def test_first_deletions_wait_for_the_honest_ones(config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    serve = recipes.serve
    monkeypatch.setattr(recipes, "serve", lambda *of: Timed(serve(*of)))
    monkeypatch.setattr(added_seconds, "perf_counter", lambda: Timed.now)
    cells = [cell for cell in CELLS if cell.method in ("first_order", "selective_dampening")]
    monkeypatch.setattr(added_seconds, "CELLS", cells)
    added_seconds.measure_seconds(config(), 0, tmp_path, "x")
    rows = read_records(tmp_path / "seconds.jsonl")
    times = ("seconds_prepared", "seconds_first", "seconds_later")
    found = {(row["method"], row["defence"]): tuple(row[time] for time in times) for row in rows}
    outside = {
        "none": (0, 1, 1),
        "copies": (0, 1, 1),
        "identify": (0, 1, 1),
        "bound": (0, 1 + HONEST_RUNS, 1),
        "monitor": (0, 1 + HONEST_RUNS, 1),
    }
    inside = {("first_order", CLIP): (0, 1, 1), ("selective_dampening", CAP): (HONEST_RUNS, 1, 1)}
    assert found == {(cell.method, name): took for cell in cells for name, took in outside.items()} | inside
    added_seconds.measure_seconds(config(), 0, tmp_path, "x")
    assert read_records(tmp_path / "seconds.jsonl") == rows
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in seconds_page.section(rows).splitlines()[-2:]]
    no_time, waits = "0.0, 0.00 / 0.00", "0.0, 9.00 / 0.00"
    assert [line[:6] for line in lines] == [[cell.method, "1.00", no_time, no_time, waits, waits] for cell in cells]
    assert [line[6:] for line in lines] == [[no_time, "-"], ["-", "9.0, 0.00 / 0.00"]]


def test_digests_are_measured_once(config: MakeConfig, tmp_path: Path):
    measure_digests(config(), 0, tmp_path, "x")
    rows = read_records(tmp_path / "digests.jsonl")
    assert len(rows) > 8
    measure_digests(config(), 0, tmp_path, "x")
    assert read_records(tmp_path / "digests.jsonl") == rows
