"""What a suite is made of: a task for each run and seed that is not finished."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from experiments.config import Config

PARTS = "seeds"  # the folder of a run's seeds in its workdir


class Task(NamedTuple):
    """One seed of one run, in a folder of its own."""

    name: str
    config: Config
    victim: str  # tasks of one victim share it, and what is pushed against it: one makes them, the others find them


def part_of(config: Config, seed: int) -> Path:
    """The workdir of one seed."""
    return Path(config.run.workdir) / PARTS / str(seed)


def tasks_of(configs: Mapping[str, Config]) -> list[Task]:
    """A task for each seed of which a row is missing, in the order of the runs."""
    from experiments.pipeline import unfinished_seeds  # it imports jax

    return [
        Task(
            f"{name}, seed {seed}",
            config.replace(seeds=(seed,), workdir=str(part_of(config, seed))),
            repr((config.data.dataset, config.victim, config.service.facts.prepares, seed)),
        )
        for name, config in configs.items()
        for seed in unfinished_seeds(config)
    ]


def run_task(config: Config) -> float:
    """On a worker: the run, from where it was; returns the seconds that it took here."""
    import time

    from experiments.paper.reference_rows import paper_rows
    from experiments.pipeline import run

    began = time.perf_counter()
    run(config, reference_rows=paper_rows(config))
    return time.perf_counter() - began
