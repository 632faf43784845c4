"""Seeds of a run that were made apart: taken over row by row, whatever is killed, changed or missing."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments import pipeline
from experiments.cluster.tasks import tasks_of
from experiments.config import Config
from experiments.run import parts
from experiments.run.cells import cells_by_seed
from experiments.run.locks import OccupiedError, alone_in
from experiments.run.outputs import read_manifest
from experiments.run.parts import part_of
from overunlearn_jax.reporting import append_row, read_rows
from tests.experiments import tiny


def seeds_apart(dataset: Path, tmp_path: Path, **changes: object) -> Config:
    """A run of two seeds, both made in parts."""
    config = tiny.tiny_config(dataset, tmp_path / "apart", tmp_path / "cache", seeds=(1, 0), **changes)
    for task in reversed(tasks_of({"tiny": config})):  # in whatever order they end
        pipeline.run(task.config)
    return config


def rows_of(config: Config) -> list[dict]:
    return read_rows(Path(config.run.workdir) / "results.jsonl")


@pytest.fixture
def made_apart(dataset: Path, tmp_path: Path, no_figures: None) -> Config:
    return seeds_apart(dataset, tmp_path)


def test_seeds_that_were_made_apart_become_the_run_of_one_machine(dataset: Path, tmp_path: Path, made_apart: Config):
    parts = [part_of(made_apart, seed) for seed in (1, 0)]
    spent = sum(read_manifest(part)["seconds"] for part in parts)
    pipeline.run(made_apart)
    assert tasks_of({"tiny": made_apart}) == []
    assert not parts[0].parent.exists()  # nothing is there twice
    alone = tiny.tiny_config(dataset, tmp_path / "alone", tmp_path / "cache", seeds=(1, 0))
    pipeline.run(alone)
    assert tiny.without_wall_times(rows_of(made_apart)) == tiny.without_wall_times(rows_of(alone))
    made = read_manifest(Path(made_apart.run.workdir))
    assert (made["seeds"], made["seconds"]) == ([1, 0], pytest.approx(spent))
    assert "Seeds made apart: on 1 x cpu" in (tmp_path / "apart" / "summary.md").read_text()
    for path in (tmp_path / "alone" / "pictures").iterdir():  # of the first seed
        with np.load(path) as expected, np.load(tmp_path / "apart" / "pictures" / path.name) as found:
            np.testing.assert_array_equal(found["ids"], expected["ids"])


def raw_cells(config: Config) -> list[str]:
    """The cells as they stand in the file, one that stands there twice included."""
    lines = (Path(config.run.workdir) / "results.jsonl").read_bytes().splitlines()
    return [json.loads(line)["cell"] for line in lines]


@pytest.mark.parametrize("rows", [0, 1, 4, 5, 7])
def test_a_kill_while_seeds_are_taken_over_loses_and_repeats_nothing(
    made_apart: Config, monkeypatch: pytest.MonkeyPatch, rows: int
):
    spent = sum(read_manifest(part_of(made_apart, seed))["seconds"] for seed in (1, 0))
    written = []

    def dying(path: Path, row: dict) -> None:
        if len(written) == rows:
            raise KeyboardInterrupt
        written.append(row)
        append_row(path, row)

    with monkeypatch.context() as patched:
        patched.setattr(parts, "append_row", dying)
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(made_apart)
    with (Path(made_apart.run.workdir) / "results.jsonl").open("ab") as file:
        file.write(b'{"half a')
    pipeline.run(made_apart)
    assert len(raw_cells(made_apart)) == len(set(raw_cells(made_apart))) == 10
    assert read_manifest(Path(made_apart.run.workdir))["seconds"] == pytest.approx(spent)


@pytest.mark.parametrize("step", ["write_outputs", "remove_parts"])
def test_a_kill_after_the_last_row_leaves_nothing_behind(
    made_apart: Config, monkeypatch: pytest.MonkeyPatch, step: str
):
    def dying(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, step, dying)
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(made_apart)
    assert part_of(made_apart, 0).exists()
    assert pipeline.run(made_apart).exists()
    assert not part_of(made_apart, 0).parent.exists()
    assert len(raw_cells(made_apart)) == 10


def test_a_part_that_is_not_whole_is_made_and_another_run_s_is_refused(
    made_apart: Config, monkeypatch: pytest.MonkeyPatch
):
    cells = cells_by_seed(made_apart)
    assert all(parts.is_complete(made_apart, seed, cells[seed]) for seed in (0, 1))
    with pytest.raises(ValueError, match="holds seed 0 of a run of other width: remove that folder"):
        parts.is_complete(made_apart.replace(width=8), 0, cells[0])
    assert not parts.is_complete(made_apart.replace(save_requests=True), 0, cells[0])
    with monkeypatch.context() as patched:
        patched.setattr(parts, "sources_of", lambda config: {"dataset": "another digest"})
        with pytest.raises(ValueError, match="of other dataset"):
            parts.adopt(made_apart, 1, cells[1], ())
    rows = part_of(made_apart, 0) / "results.jsonl"
    rows.write_bytes(b"".join(rows.read_bytes().splitlines(keepends=True)[:-1]))
    [task] = tasks_of({"tiny": made_apart})
    assert task.config.run.seeds == (0,)
    for name in ("report.html", "manifest.json"):  # its worker is not done, or its note is gone
        (part_of(made_apart, 1) / name).unlink()
        assert not parts.is_complete(made_apart, 1, cells[1])
        assert len(tasks_of({"tiny": made_apart})) == 2
    for task in tasks_of({"tiny": made_apart}):
        pipeline.run(task.config)
    assert tasks_of({"tiny": made_apart}) == []


def test_a_part_that_a_worker_is_at_is_neither_taken_nor_removed(made_apart: Config):
    with alone_in(part_of(made_apart, 0)):
        for config in (made_apart, made_apart.replace(force=True)):
            with pytest.raises(OccupiedError):
                pipeline.run(config)
    assert (part_of(made_apart, 0) / "results.jsonl").exists()


def test_force_on_one_machine_measures_anew(made_apart: Config):
    name = "results.jsonl"
    before = {line for seed in (0, 1) for line in (part_of(made_apart, seed) / name).read_bytes().splitlines()}
    pipeline.run(made_apart.replace(force=True))
    after = set((Path(made_apart.run.workdir) / name).read_bytes().splitlines())
    assert not before & after  # the same numbers in other seconds


@pytest.mark.usefixtures("no_figures")
def test_a_seed_that_one_machine_has_made_is_no_task(dataset: Path, tmp_path: Path):
    both = tiny.tiny_config(dataset, tmp_path / "run", tmp_path / "cache", seeds=(0, 1))
    pipeline.run(both)
    results = tmp_path / "run" / "results.jsonl"
    lines = results.read_bytes().splitlines(keepends=True)
    results.write_bytes(b"".join(lines[:5]))  # of the first seed
    [task] = tasks_of({"tiny": both})
    assert task.config.run.seeds == (1,)
    pipeline.run(task.config)
    pipeline.run(both)
    assert results.read_bytes().startswith(b"".join(lines[:5]))
    assert [row["seed"] for row in rows_of(both)] == [0] * 5 + [1] * 5
    assert len(raw_cells(both)) == 10
