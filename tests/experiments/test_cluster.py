"""Runs and seeds as tasks: what is a task, how seeds become one run, and real workers, of which one is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from experiments import pipeline
from experiments.cluster import client, tasks
from experiments.cluster.tasks import tasks_of
from experiments.config import Config
from experiments.paper import suite
from experiments.run import parts
from experiments.run.locks import OccupiedError, alone_in
from experiments.run.outputs import read_manifest
from experiments.run.parts import part_of
from experiments.suites.costs import SeedCost, hours_on, seed_costs
from overunlearn_jax.reporting import append_row, read_rows
from tests.experiments import tiny
from tests.experiments.running import CalledError, refuse
from tests.experiments.test_processes import _free_address as free_address

SECONDS = 120  # for anything to happen


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
    cells = pipeline.cells_by_seed(made_apart)
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
    marked = part_of(made_apart, 1) / "results.jsonl"
    before = {line for seed in (0, 1) for line in (part_of(made_apart, seed) / marked.name).read_bytes().splitlines()}
    pipeline.run(made_apart.replace(force=True))
    after = set((Path(made_apart.run.workdir) / marked.name).read_bytes().splitlines())
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


@pytest.mark.usefixtures("no_figures")
def test_what_the_run_would_refuse_is_refused_before_hours_are_spent(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(client, "_submit", refuse)
    config = tiny.tiny_config(dataset, tmp_path / "run", tmp_path / "cache", seeds=(0,))
    pipeline.run(config)
    client.run_on_workers("nowhere", {"tiny": config})  # nothing is missing
    with pytest.raises(ValueError, match="holds a run of another config"):
        client.run_on_workers("nowhere", {"tiny": config.replace(width=8)})
    with pytest.raises(ValueError, match="holds a run of another config"):
        client.run_on_workers("nowhere", {"tiny": config.replace(seeds=(0, 1))})
    (tmp_path / "run" / "seeds" / "0").mkdir(parents=True)
    with pytest.raises(CalledError):
        client.run_on_workers("nowhere", {"tiny": config.replace(force=True)})  # all of it is made anew
    assert not (tmp_path / "run" / "results.jsonl").exists()
    assert not (tmp_path / "run" / "seeds").exists()
    monkeypatch.setattr(client, "_submit", lambda address, tasks: {})
    with pytest.raises(ValueError, match=r"tiny, seed 0 is not in .*: give a --workdir on a disk that they"):
        client.run_on_workers("nowhere", {"tiny": config})
    for users in ({"service_url": "http://127.0.0.1:1", "model_name": "m"}, {"service": "my_module:MyService"}):
        with pytest.raises(ValueError, match="workers would delete from one service at once"):
            client.run_on_workers("nowhere", {"tiny": Config.of(**users)})


def test_a_seed_that_another_process_has_at_hand_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def occupied_twice(config: Config, reference_rows: object) -> None:
        asked.append(config)
        if len(asked) < 3:
            raise OccupiedError("process 1 runs there")

    monkeypatch.setattr(pipeline, "run", occupied_twice)
    monkeypatch.setattr(tasks, "SECONDS_BETWEEN_LOOKS", 0.001)
    tasks.run_task(Config())
    assert len(asked) == 3


def test_tasks_of_one_victim_are_known_by_it(dataset: Path, tmp_path: Path):
    config = tiny.tiny_config(dataset, tmp_path / "a", tmp_path / "cache")
    other = config.replace(workdir=str(tmp_path / "b"), class_a="bee", class_b="ant", taus=(1e-2,))
    wider = config.replace(workdir=str(tmp_path / "c"), width=8)
    victims = [task.victim for task in tasks_of({"a": config, "b": other, "c": wider})]
    assert victims[0] == victims[1] != victims[2]


def test_hours_on_many_machines():
    costs = [
        SeedCost("main", ("v", 0), 0.0, 120.0),
        SeedCost("main", ("v", 1), 0.0, 120.0),
        SeedCost("again", ("v", 0), 0.0, 60.0),
        SeedCost("again", ("v", 1), 0.0, 60.0),
        SeedCost("third", ("v", 0), 0.0, 60.0),
    ]
    assert hours_on(costs, 1) == pytest.approx(7.0)
    assert hours_on(costs, 2) == pytest.approx(4.0)  # two of the three that find their victim go one after the other
    assert hours_on(costs, 3) == hours_on(costs, 100) == pytest.approx(3.0)  # a victim, and whoever needs it
    plan = suite.plan("table_08", "cpu", Config.of(experiment="table_08"), {})
    assert "6 tasks. Hours by the number of such machines: 1: " in suite.dry_run(plan)


def test_the_page_says_what_the_dry_run_does():
    costs = seed_costs(suite.plan("all", "paper", Config.of(experiment="all"), {}))
    one, ten, hundred, thousand = (round(hours_on(costs, count)) for count in (1, 10, 100, 1000))
    page = " ".join((tiny.ROOT / "docs" / "howto" / "cluster.md").read_text().split())
    assert f"counts {len(costs)} tasks and {one} hours of a machine with two cores" in page
    assert hundred == thousand
    assert f"{ten} hours on ten such machines, {hundred} on a hundred or a thousand" in page


def test_no_scheduler_is_an_error(dataset: Path, tmp_path: Path):
    pytest.importorskip("distributed")
    ran = tiny.main(
        *tiny.as_flags(tiny.tiny_config(dataset, tmp_path / "a", tmp_path / "cache")), "--scheduler=nowhere"
    )
    assert ran.returncode == 1
    assert "--scheduler=nowhere: no Dask scheduler answers there" in ran.stderr
    assert "Traceback" not in ran.stderr
    both = tiny.main("--scheduler=nowhere", "--distributed")
    assert "leave out one" in both.stderr


@contextmanager
def dask(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler or a worker, as on another machine."""
    program = subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        env=tiny.environment() | {"JAX_PLATFORMS": "cpu"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield program
    finally:
        program.kill()
        program.wait()


def pid_at_work_in(folder: Path) -> int:
    """The process that holds the workdir, once it has written a row."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            if (folder / "results.jsonl").stat().st_size:
                return json.loads((folder / "run.json").read_text())["pid"]
        except (OSError, ValueError):
            time.sleep(0.02)
    raise AssertionError(f"nobody worked in {folder}")


def test_a_lost_worker_costs_its_task_and_the_rows_are_those_of_one_machine(dataset: Path, tmp_path: Path):
    pytest.importorskip("distributed")
    together = tiny.tiny_config(dataset, tmp_path / "together", tmp_path / "shared", seeds=(0, 1))
    host, port = free_address().split(":")
    worker = ("worker", f"{host}:{port}", "--nthreads=1", "--no-nanny", "--no-dashboard", "--memory-limit=0",
              f"--local-directory={tmp_path}")  # fmt: skip
    with (
        dask("scheduler", f"--host={host}", f"--port={port}", "--no-dashboard"),
        dask(*worker) as one,
        dask(*worker) as other,
    ):
        run = subprocess.Popen(
            tiny.command(*tiny.as_flags(together), f"--scheduler={host}:{port}"),
            env=tiny.environment() | {"JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            first = part_of(together, 0)
            os.kill(pid_at_work_in(first), signal.SIGKILL)
            [written, *_] = (first / "results.jsonl").read_bytes().splitlines()
            output, errors = run.communicate(timeout=SECONDS)
            assert sorted(map(str, (one.poll(), other.poll()))) == [str(-signal.SIGKILL), "None"]
        finally:
            run.kill()
    assert run.returncode == 0, errors
    assert "[2/2] tiny, seed " in output
    assert written in (Path(together.run.workdir) / "results.jsonl").read_bytes().splitlines()  # it went on there
    assert "report: " in output
    alone = tiny.tiny_config(dataset, tmp_path / "alone", tmp_path / "cache", seeds=(0, 1))
    ran = tiny.main(*tiny.as_flags(alone), timeout=SECONDS)
    assert ran.returncode == 0, ran.stderr
    expected, found = (read_rows(Path(config.run.workdir) / "results.jsonl") for config in (alone, together))
    assert tiny.without_wall_times(found) == tiny.without_wall_times(expected)
    assert Config.from_json(tmp_path / "together" / "config.json").run.seeds == (0, 1)
