import json
import math
from collections.abc import Callable

import pytest

from experiments.benchmarks import zoo
from overunlearn_jax.attacks import ZooSettings
from overunlearn_jax.types import Bounds

SAMPLES, STEPS, REPEATS = 3, 2, 2


@pytest.fixture
def toy_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "IMAGE_SHAPE", (8, 8, 3))
    monkeypatch.setattr(zoo, "BATCHES", (3, 8))


@pytest.mark.usefixtures("toy_size")
def test_both_sides_are_measured(monkeypatch: pytest.MonkeyPatch):
    counts = []

    def rate(work: Callable[[], int]) -> float:
        counts.append(work())
        return measured(work)

    measured = zoo._rate
    monkeypatch.setattr(zoo, "_rate", rate)
    row = zoo.measure(width=2, samples=SAMPLES, steps=STEPS, repeats=REPEATS, slots=2)
    assert json.loads(json.dumps(row)) == row
    assert all(math.isfinite(value) and value > 0 for value in row.values())
    assert (row["width"], row["slots"]) == (2, 2)
    assert row["plain_best_batch"] in zoo.BATCHES

    # every sample takes every step: the attack's queries are known before
    queries = SAMPLES * STEPS * ZooSettings(Bounds(-0.5, 0.5)).queries_per_step
    warm, searched, repeated = counts[:1], counts[1 : 1 + 2 * len(zoo.BATCHES)], counts[1 + 2 * len(zoo.BATCHES) :]
    assert warm == [queries]
    assert [count % batch for count, batch in zip(searched, (3, 3, 8, 8), strict=True)] == [0] * 4
    assert repeated[::2] == [queries] * REPEATS
    assert all(count % row["plain_best_batch"] == 0 for count in repeated[1::2])
    assert len(repeated) == 2 * REPEATS
