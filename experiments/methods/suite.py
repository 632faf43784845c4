"""Runs the grid of methods and requests, or part of it, and writes its page.

overunlearn methods --scale=cpu --data_dir=FOLDER

A killed run goes on with the same command.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from absl import flags

from experiments.config import Config
from experiments.methods.grid import LADDERS, all_runs, run_config
from experiments.run.processes import is_first
from experiments.suites.places import Pages, places_and_overrides

NAME = "methods"


def define_flags() -> None:
    """Flags of the grid."""
    flags.DEFINE_multi_enum(
        "method",
        [],
        list(LADDERS),
        "of --experiment=methods: this method alone; say it again for each further one. The page shows all that the "
        "workdir has rows of",
    )


def plan(scale: str, base: Config, given: dict[str, Any], methods: Collection[str] = ()) -> dict[str, Config]:
    """The config of every run, by its folder; `given` are the flags of the command line; no `methods`: all."""
    places, overrides = places_and_overrides(base, given, f"runs/methods_{scale}")
    return {run.folder: run_config(run, scale, places, overrides) for run in all_runs(methods)}


def run(configs: dict[str, Config], scale: str, command: str) -> Pages:
    """Makes the runs and writes the page after each."""
    from experiments.measures.memo import Memo
    from experiments.methods.page import write  # these import jax, which --help does without
    from experiments.paper.reference_rows import paper_rows
    from experiments.pipeline import run as run_one

    memo = Memo()
    folder = Path(next(iter(configs.values())).run.workdir).parent
    pages = Pages(folder / "methods.md", folder / "methods.md")
    for number, (name, config) in enumerate(configs.items(), start=1):
        if is_first():
            print(f"[{number}/{len(configs)}] {name}", flush=True)
        run_one(config, memo=memo, reference_rows=paper_rows(config))
        if is_first():
            write(folder, pages.text, f"Unlearning methods and malicious requests, scale {scale}", command)
    return pages
