"""The benchmarks at toy size: what they measure is what they say, and their sides do the same work."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks import art_attack, exactness, fewer_queries, memory, opponents, sisa_saving, speed, timing
from experiments.benchmarks.fewer_queries_figure import draw
from experiments.benchmarks.subjects import Subject, subject
from overunlearn_jax.attacks import ZooSettings
from overunlearn_jax.models import pure_model
from overunlearn_jax.training import make_train_step
from overunlearn_jax.types import Bounds, Split
from overunlearn_jax.unlearn.sisa import SisaSettings
from tests.experiments.running import MakeConfig

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


def test_the_paper_s_loop_walks_like_ours(toy: Subject):
    settings = ZooSettings(toy.spec.bounds, max_steps=4)
    ours, loop = opponents._ours(toy, 3, settings), opponents._paper_loop(toy, 3, settings)
    assert ours["crossed"] == loop["crossed"]
    assert ours["mean_steps"] == loop["mean_steps"] > 1


def test_the_toolbox_is_compared_at_its_fastest_and_as_near_as_we_end(toy: Subject, monkeypatch: pytest.MonkeyPatch):
    def outcome(seconds: float, crossed: int, mean_l2: float) -> dict:
        return {"seconds": seconds, "seconds_of_failures": 0.25 if crossed < 8 else 0.0} | {
            "crossed": crossed,
            "mean_l2": mean_l2,
            "mean_steps": 1.0,
        }

    found = {
        (0.1, 1.0): outcome(1.0, 8, 1.0),
        (0.1, 2.0): outcome(0.5, 7, 0.9),  # loses a sample
        (0.01, 1.0): outcome(3.0, 7, 0.42),
        (0.01, 2.0): outcome(2.0, 6, 0.42),
        (0.01, 3.0): outcome(4.0, 8, 0.6),  # not near
    }
    monkeypatch.setattr(art_attack, "pilots", lambda subject: found)
    monkeypatch.setattr(art_attack, "attack", lambda subject, samples, setting: found[setting])
    monkeypatch.setattr(opponents, "_ours", lambda subject, samples, settings: outcome(0.1, 8, 0.4))
    row = opponents._beside_art(toy, 8, 2, ZooSettings(toy.spec.bounds))
    assert isinstance(row, dict)
    assert row["at_its_fastest"]["art"] == found[0.1, 1.0]
    assert row["at_its_fastest"]["art_over_ours_a_crossing"] == pytest.approx(10)
    assert row["as_near_as_ours"]["art"] == found[0.01, 1.0]
    assert row["as_near_as_ours"]["art_over_ours_a_crossing"] == pytest.approx((3.0 - 0.25) / 7 / (0.1 / 8))


def test_every_way_to_push_is_a_setting_that_a_run_takes(config: MakeConfig):
    base = config(coordinates=128, step_size=1e-2, max_steps=1000)
    for name, changes in fewer_queries.WAYS.items():
        assert base.replace(**changes).attack.search == changes.get("search", "zoo"), name


def test_ways_to_push_are_compared_over_the_same_samples(config: MakeConfig, tmp_path: Path):
    base = config(attacks=("normal", "pushing_1", "pushing_2"), seeds=(0, 1))
    ways = ("paper", "bisection")
    rows = {name: fewer_queries.run_way(base, name) for name in ways}
    table = fewer_queries.markdown(rows, "the command")
    found = fewer_queries.ways_of(rows)
    assert [way.name for way in found] == list(rows)
    for way in found:
        line = next(line for line in table.splitlines() if line.startswith(f"| {way.name} |"))
        assert f" {way.queries:,.0f} |" in line
        assert f" {100 * way.harm[0].mean:.1f} [" in line or f" {100 * way.harm[0].mean:.1f} |" in line
    assert draw(found, tmp_path / "ways.png").stat().st_size > 10_000
    lines = [line.split("|") for line in table.splitlines() if line.startswith(("| paper", "| bisection"))]
    assert [line[4].strip() for line in lines] == ["1.0", "1.0"]  # eight queries more, of hundreds
    queries = [[row["queries"] for row in rows[name] if row["attack"] == "pushing_1"] for name in ways]
    requested = [row["requested"] for row in rows["paper"] if row["attack"] == "pushing_1"]
    assert [after - before for before, after in zip(*queries, strict=True)] == [8 * count for count in requested]
    assert lines[0][3].strip() == f"{sum(queries[0]) / sum(requested):,.0f}"
    assert float(lines[1][6]) <= float(lines[0][6])  # Pushing-II: nearer after halving


def test_the_search_s_memory_is_what_the_caller_did_not_ask_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "_peak", lambda samples: 600 + samples * 2 * 32 * 32 * 3 * 4 / 2**20)
    row = memory.measure(64, 2000)
    assert row["many_over_few"] > 1.05
    assert row["search_many_over_few"] == pytest.approx(1)


def test_sisa_s_saving_is_timed_beside_training_anew(monkeypatch: pytest.MonkeyPatch):
    def apply(params, images):
        return images.reshape(len(images), -1) @ params

    images = np.random.default_rng(0).normal(size=(80, 2, 2, 1)).astype(np.float32)
    train = Split(images, np.arange(80) % 3, np.arange(80))
    settings = SisaSettings(shards=4, slices=2, epochs=1, batch_size=4)
    clock = {"now": 0.0}

    def make(*arguments):
        inner = make_train_step(*arguments)

        def timed(*batch):
            clock["now"] += 1.0  # a second a step
            return inner(*batch)

        return timed

    monkeypatch.setattr("overunlearn_jax.unlearn.sisa.slices.make_train_step", make)
    monkeypatch.setattr("time.perf_counter", lambda: clock["now"])
    model = pure_model(lambda key: np.zeros((4, 3), np.float32), apply)
    one, all_of_it = sisa_saving.measure(model, train, settings, (1, 60), 3)
    assert one["seconds_to_train_anew"] == 3 * (10 // 4 + 20 // 4) + 2 + 19 // 4  # steps: a half, then all of a shard
    assert one["time_share"] == pytest.approx(one["work_share"], rel=0.25)
    assert one["work_share"] < 0.3
    assert all_of_it["time_share"] == 1
    with pytest.raises(ValueError, match="a request of 80 samples of 80"):
        sisa_saving.measure(model, train, settings, (80,), 1)
