"""The tasks of a suite on the workers of a Dask scheduler: who waits for whom, what failed, how long it will take.

A worker that is lost takes its task alone with it: another one starts the same task again, and goes on where it was.
"""

import time
from collections.abc import Mapping
from typing import Any

from absl import flags

from experiments.cluster.merging import merge
from experiments.cluster.tasks import Task, run_task, tasks_of
from experiments.config import Config

TRIES = 3  # of a task that fails, or whose worker is lost
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
    """Makes every seed that is missing on the workers, and puts the seeds of each run together.

    A task that shares its victim with an earlier one starts when that one has ended: what both need is made once.

    Raises:
      ValueError: no scheduler, or no Dask; a task that failed, after all others have ended: with the same command they
        are found, and only the failed ones start again.
    """
    tasks = tasks_of(configs)
    if tasks:
        failed = _submit(address, tasks)
        if failed:
            listed = "; ".join(f"{name}: {why}" for name, why in failed.items())
            raise ValueError(
                f"{len(failed)} of {len(tasks)} tasks failed ({listed}): mend the reason and start the same command "
                "again; what is finished is kept"
            )
    for config in configs.values():
        merge(config)


def _submit(address: str, tasks: list[Task]) -> dict[str, str]:
    """Runs the tasks; returns why those that failed did."""
    client, as_completed = _connect(address)
    waiting: dict[str, list[Task]] = {}
    for task in tasks:
        waiting.setdefault(task.victim, []).append(task)
    order = {task.name: number for number, task in enumerate(tasks)}

    def submitted(task: Task) -> Any:
        # Retries are of tasks that raise; a lost worker's task is moved, whatever it says here.
        future = client.submit(
            run_task, task.config, key=f"{task.name} ({task.config.run.workdir})", pure=False, retries=TRIES - 1,
            priority=-order[task.name],
        )  # fmt: skip
        running[future.key] = task
        return future

    running: dict[str, Task] = {}
    failed: dict[str, str] = {}
    began, done = time.monotonic(), 0
    with client:
        workers = len(client.scheduler_info()["workers"])
        print(f"{len(tasks)} tasks on {workers} workers at {client.dashboard_link}", flush=True)
        ended = as_completed([submitted(own.pop(0)) for own in waiting.values()])
        for future in ended:
            task, done = running[future.key], done + 1
            error = future.exception()
            if error is not None:
                failed[task.name] = " ".join(str(error).split())
            elif waiting[task.victim]:  # the victim is there: all who need it may start
                for other in waiting[task.victim]:
                    ended.add(submitted(other))
                waiting[task.victim] = []
            if error is not None and waiting[task.victim]:
                ended.add(submitted(waiting[task.victim].pop(0)))
            left = (time.monotonic() - began) / done * (len(tasks) - done)
            words = "failed" if error is not None else f"{future.result() / 60:,.1f} minutes"
            print(f"[{done}/{len(tasks)}] {task.name}: {words}; about {left / 60:,.0f} minutes left", flush=True)
    return failed


def _connect(address: str) -> Any:
    """A client and Dask's `as_completed`. Raises ValueError without Dask or a scheduler."""
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise ValueError(
            "--scheduler needs Dask, which is not installed: pip install 'overunlearn_jax[cluster]'"
        ) from error
    try:
        return Client(address, timeout=SECONDS_TO_CONNECT), as_completed
    except (OSError, ValueError) as error:
        raise ValueError(f"--scheduler={address}: no Dask scheduler answers there ({error})") from error
