"""The tasks of a suite on the workers of a Dask scheduler: who waits for whom, what failed, how long it will take.

A worker that is lost takes its task alone with it: another one starts the same task again, and goes on where it was.
What the workers have made lies in parts of each run's workdir, and the run takes it from there.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags

from experiments.cluster.tasks import Task, run_task, tasks_of
from experiments.config import Config

TRIES = 2  # of a task that raises; how often a task may lose its worker is Dask's setting
SECONDS_TO_CONNECT = 30


def define_flags() -> None:
    """Where the scheduler is; no part of the config, since it changes nothing in the results."""
    flags.DEFINE_string(
        "scheduler",
        "",
        "HOST:PORT of a Dask scheduler: each run and seed becomes a task of its workers; --cache_dir, --workdir and "
        "--data_dir lie on a disk that all of them see",
    )


def run_on_workers(address: str, configs: Mapping[str, Config]) -> None:
    """Makes every seed that is missing on the workers.

    A task that shares its victim with an earlier one starts when that one has ended: what both need is made once.

    Raises:
      ValueError: no scheduler, or no Dask; a service of the user's own, which one process at a time may ask to forget;
        a workdir, or a seed in it, of another config; a task that failed, after all others have ended: with the same
        command, without --force, these are found; workers that write elsewhere.
      OccupiedError: a worker of an earlier start is still at what --force would remove.
    """
    for config in configs.values():
        _prepare(config)
    tasks = tasks_of(configs)
    if not tasks:
        return
    failed = _submit(address, tasks)
    if failed:
        listed = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise ValueError(
            f"{len(failed)} of {len(tasks)} tasks failed ({listed}): mend the reason and start the same command "
            "again, without --force; what is finished is kept"
        )
    if missing := tasks_of(configs):
        raise ValueError(
            f"the workers have ended, and {missing[0].name} is not in {missing[0].config.run.workdir}: give a "
            "--workdir on a disk that they and this machine see under the same path"
        )


def _prepare(config: Config) -> None:
    """Refuses, before hours are spent, what the run would refuse; --force empties the workdir now."""
    from experiments.run.locks import alone_in
    from experiments.run.outputs import make_folders, open_workdir
    from experiments.run.parts import remove_parts
    from experiments.victims.sources import sources_of

    if config.service.users:
        raise ValueError(
            f"--scheduler with {config.service.users_flag}: workers would delete from one service at once, and see "
            "each other's deletions; leave out --scheduler"
        )
    make_folders(config)
    with alone_in(Path(config.run.workdir)):
        open_workdir(config, sources_of(config))
        if config.run.force:
            remove_parts(config)


def _submit(address: str, tasks: list[Task]) -> dict[str, str]:
    """Runs the tasks; returns why those that failed did."""
    from experiments.run.errors import describe_error

    client, as_completed = _connect(address)
    waiting: dict[str, list[Task]] = {}  # by victim: those that have not started
    for task in tasks:
        waiting.setdefault(task.victim, []).append(task)
    order = {task.name: number for number, task in enumerate(tasks)}
    running: dict[str, Task] = {}
    failed: dict[str, str] = {}
    began, done = time.monotonic(), 0

    def submitted(task: Task) -> Any:
        future = client.submit(
            run_task, task.config, key=f"{task.name} ({task.config.run.workdir})", pure=False, retries=TRIES - 1,
            priority=-order[task.name],
        )  # fmt: skip
        running[future.key] = task
        return future

    with client:
        workers = len(client.scheduler_info()["workers"])
        print(f"{len(tasks)} tasks on {workers} workers at {address}", flush=True)
        ended = as_completed([submitted(own.pop(0)) for own in waiting.values()])
        for future in ended:
            task, done = running[future.key], done + 1
            if future.status not in ("finished", "error"):
                raise ValueError(f"the scheduler at {address} is gone: start it, and the same command, again")
            if future.status == "finished":
                words, ready = f"{future.result() / 60:,.1f} minutes", waiting[task.victim]  # the victim is there
            else:
                failed[task.name] = " ".join(describe_error(future.exception()).splitlines()[-1].split())
                words, ready = f"failed, {failed[task.name]}", waiting[task.victim][:1]  # the next one tries to make it
            waiting[task.victim] = waiting[task.victim][len(ready) :]
            for other in ready:
                ended.add(submitted(other))
            left = (time.monotonic() - began) / done * (len(tasks) - done)
            print(f"[{done}/{len(tasks)}] {task.name}: {words}; about {left / 60:,.0f} minutes left", flush=True)
    return failed


def _connect(address: str) -> Any:
    """A client and Dask's `as_completed`. Raises ValueError without Dask or a scheduler."""
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise ValueError("--scheduler needs Dask, which is not installed: pip install -e '.[cluster]'") from error
    try:
        return Client(address, timeout=SECONDS_TO_CONNECT), as_completed
    except (OSError, ValueError) as error:
        raise ValueError(f"--scheduler={address}: no Dask scheduler answers there ({error})") from error
