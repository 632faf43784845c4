"""What a suite is made of: a task for each run and seed that is not finished."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from experiments.config import Config

SECONDS_BETWEEN_LOOKS = 5.0  # at a seed that another process is making


class Task(NamedTuple):
    """One seed of one run, in a folder of its own."""

    name: str
    config: Config
    victim: str  # tasks of one victim share it, and what is pushed against it: one makes them, the others find them


def tasks_of(configs: Mapping[str, Config]) -> list[Task]:
    """A task for each seed that neither the run nor a part of it holds, in the order of the runs."""
    from experiments.run.cells import cells_by_seed, unfinished_seeds  # it imports jax
    from experiments.run.parts import is_complete, part_of

    found = []
    for name, config in configs.items():
        cells = cells_by_seed(config)
        places = {"cache_dir": config.run.cache_dir, "data_dir": config.data.data_dir}
        absolute = {flag: str(Path(place).absolute()) for flag, place in places.items() if place and "://" not in place}
        victim = (config.data.dataset, config.victim, config.service.facts.prepares)
        for seed in unfinished_seeds(config):
            if not is_complete(config, seed, cells[seed]):
                workdir = str(part_of(config, seed).absolute())
                own = config.replace(seeds=(seed,), workdir=workdir, force=False, **absolute)
                found.append(Task(f"{name}, seed {seed}", own, repr((victim, seed))))
    return found


def run_task(config: Config) -> float:
    """On a worker: the run, from where it was; returns the seconds that it took here.

    Waits for a process that has the same seed at hand, such as a worker that its scheduler has lost sight of.
    """
    from experiments.paper.reference_rows import paper_rows
    from experiments.pipeline import run
    from experiments.run.locks import OccupiedError

    began = time.perf_counter()
    while True:
        try:
            run(config, reference_rows=paper_rows(config))
        except OccupiedError:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        else:
            return time.perf_counter() - began
