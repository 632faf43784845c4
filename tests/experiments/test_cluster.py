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

import pytest

from experiments import pipeline
from experiments.cluster.merging import merge
from experiments.cluster.tasks import part_of, tasks_of
from experiments.config import Config
from experiments.paper import suite
from experiments.run.outputs import read_manifest
from experiments.suites.costs import SeedCost, hours_on, seed_costs
from overunlearn_jax.reporting import read_rows
from tests.experiments import tiny
from tests.experiments.test_processes import _free_address as free_address

SECONDS = 120  # for anything to happen


@pytest.mark.usefixtures("no_figures")
def test_seeds_that_were_made_apart_become_the_run_of_one_machine(dataset: Path, tmp_path: Path):
    alone, apart = (tiny.tiny_config(dataset, tmp_path / name, tmp_path / "cache", seeds=(1, 0)) for name in "ab")
    pipeline.run(alone)
    tasks = tasks_of({"tiny": apart})
    assert [(task.name, task.config.run.seeds) for task in tasks] == [("tiny, seed 1", (1,)), ("tiny, seed 0", (0,))]
    assert len({task.victim for task in tasks}) == 2
    for task in reversed(tasks):  # in whatever order they end
        pipeline.run(task.config)
    spent = sum(read_manifest(part_of(apart, seed))["seconds"] for seed in (0, 1))
    merge(apart)
    assert tasks_of({"tiny": apart}) == []
    assert not list(part_of(apart, 0).parent.iterdir())  # nothing is there twice
    pipeline.run(apart)  # all is there: it writes the report
    expected, found = (read_rows(Path(config.run.workdir) / "results.jsonl") for config in (alone, apart))
    assert tiny.without_wall_times(found) == tiny.without_wall_times(expected)
    made = read_manifest(Path(apart.run.workdir))
    assert (made["seeds"], made["seconds"]) == ([1, 0], pytest.approx(spent))
    names = [sorted(path.name for path in (tmp_path / each / "pictures").iterdir()) for each in "ab"]
    assert names[0] == names[1]


@pytest.mark.usefixtures("no_figures")
def test_a_seed_that_one_machine_has_made_is_no_task(dataset: Path, tmp_path: Path):
    first = tiny.tiny_config(dataset, tmp_path / "run", tmp_path / "cache", seeds=(0,))
    pipeline.run(first)
    both = first.replace(seeds=(0, 1))
    [task] = tasks_of({"tiny": both})
    assert task.config.run.seeds == (1,)
    before = (tmp_path / "run" / "results.jsonl").read_text()
    pipeline.run(task.config)
    merge(both)
    assert (tmp_path / "run" / "results.jsonl").read_text().startswith(before)
    assert {row["seed"] for row in read_rows(tmp_path / "run" / "results.jsonl")} == {0, 1}


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
    """The process that holds the workdir, once there is one."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
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
            os.kill(pid_at_work_in(part_of(together, 0)), signal.SIGKILL)
            output, errors = run.communicate(timeout=SECONDS)
            assert sorted(map(str, (one.poll(), other.poll()))) == [str(-signal.SIGKILL), "None"]
        finally:
            run.kill()
    assert run.returncode == 0, errors
    assert "[2/2] tiny, seed " in output
    assert "report: " in output
    alone = tiny.tiny_config(dataset, tmp_path / "alone", tmp_path / "cache", seeds=(0, 1))
    ran = tiny.main(*tiny.as_flags(alone), timeout=SECONDS)
    assert ran.returncode == 0, ran.stderr
    expected, found = (read_rows(Path(config.run.workdir) / "results.jsonl") for config in (alone, together))
    assert tiny.without_wall_times(found) == tiny.without_wall_times(expected)
    assert Config.from_json(tmp_path / "together" / "config.json").run.seeds == (0, 1)
