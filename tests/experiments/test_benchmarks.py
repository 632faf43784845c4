"""The benchmarks at toy size: what they measure is what they say, and their sides do the same work."""

import json
import math

import numpy as np
import pytest

from experiments.benchmarks import exactness, memory, opponents, speed, timing
from experiments.benchmarks.subjects import Subject, subject
from overunlearn_jax.attacks import ZooSettings
from overunlearn_jax.types import Bounds

PER_STEP = ZooSettings(Bounds(-0.5, 0.5)).queries_per_step


@pytest.fixture(scope="module")
def toy() -> Subject:
    return subject("vgg:2", "", "", brief=True)


def test_sides_take_turns_and_each_is_warm(monkeypatch: pytest.MonkeyPatch):
    clock = iter(np.arange(0, 1000, 0.5))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))  # every call takes half a second
    calls: list[tuple[str, int]] = []

    def side(name: str) -> timing.Work:
        def work(units: int) -> int:
            calls.append((name, units))
            return units

        return work

    found = timing.rates({"a": side("a"), "b": side("b")}, 10, 4.0, 3)
    measured = calls[-6:]
    assert [name for name, _ in measured] == ["a", "b"] * 3
    assert all(name in dict(calls[:-6]) for name in "ab")
    assert found == {name: [units / 0.5 for each, units in measured if each == name] for name in "ab"}


def test_a_ratio_is_taken_within_each_repeat():
    assert timing.ratio([10, 20, 60], [10, 10, 10]) == 2


def test_speed_counts_every_query(toy: Subject, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(speed, "BATCHES", (3, 8))
    row = speed.measure(toy, slots=2, seconds=0.02, repeats=2)
    assert json.loads(json.dumps(row)) == row
    numbers = [value for value in row.values() if not isinstance(value, str)]
    assert all(math.isfinite(value) and value > 0 for value in numbers)
    assert row["plain_best_batch"] in (3, 8)
    for edits in (False, True):
        # the budget is spent to the last step that it allows, whatever the victim answers
        assert speed._attack(toy, 2, edits, 7 * PER_STEP) == 6 * PER_STEP
    assert speed._plain(toy, 8, 20) == 24


def test_exactness_is_measured_on_probes_that_matter(toy: Subject):
    row = exactness.measure(toy, probes=300)
    assert row["probes"] == 512
    assert row["largest_difference"] < 1e-6
    assert row["largest_change_by_a_probe"] > 1e-4


def test_the_paper_s_loop_walks_like_ours(toy: Subject, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(opponents, "MAX_STEPS", 4)
    images, labels = toy.images[:3], toy.labels[:3]
    ours, loop = opponents._ours(toy, images, labels), opponents._paper_loop(toy, images, labels)
    assert ours["crossed"] == loop["crossed"]
    assert ours["mean_steps"] == loop["mean_steps"] > 1


def test_the_search_s_memory_is_what_the_caller_did_not_ask_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "_peak", lambda samples: 600 + samples * 2 * 32 * 32 * 3 * 4 / 2**20)
    row = memory.measure(64, 2000)
    assert row["many_over_few"] > 1.05
    assert row["search_many_over_few"] == pytest.approx(1)
