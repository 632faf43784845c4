"""Runs and seeds as tasks: what is a task, what is refused beforehand, and real workers, of which one is killed."""

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
from experiments.cluster import client, tasks
from experiments.cluster.tasks import tasks_of
from experiments.config import Config
from experiments.paper import suite
from experiments.run.locks import OccupiedError
from experiments.run.parts import part_of
from experiments.suites.costs import SeedCost, hours_on, seed_costs
from overunlearn_jax.reporting import read_rows
from tests.experiments import tiny
from tests.experiments.running import CalledError, refuse
from tests.experiments.test_processes import _free_address as free_address

SECONDS = 120  # for anything to happen


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
