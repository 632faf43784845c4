"""Runs what the asked-for tables and figures need, each study once, and writes them; or says what it would cost.

    overunlearn paper table_04 --scale=cpu --data_dir=FOLDER
    overunlearn paper all --scale=cpu --data_dir=FOLDER --dry_run

A killed run goes on with the same command: finished cells, victims and pushed samples are found again.
"""

from pathlib import Path
from typing import Any

from absl import flags

from experiments.config import Config
from experiments.paper.exhibits import EXHIBITS, studies_of
from experiments.paper.studies import SCALES, STUDIES, study_config
from experiments.run.processes import is_first
from experiments.suites import costs
from experiments.suites.places import Pages, pages_of, places_and_overrides
from overunlearn_jax.spelling import did_you_mean


def define_flags() -> None:
    """Flags of the paper's tables and figures."""
    flags.DEFINE_enum(
        "scale", "cpu", list(SCALES), "of --experiment=table_04 and the like: sizes for 2 cores, or the paper's"
    )
    flags.DEFINE_bool("dry_run", False, "print what --experiment=all, or one table or figure, would cost, and stop")


def is_of_the_paper(experiment: str) -> bool:
    """Whether --experiment names a table or figure of the paper, or all of them.

    Raises ValueError for a name that only looks like one.
    """
    if experiment == "all" or experiment in EXHIBITS:
        return True
    if experiment.startswith(("table", "figure")) or experiment in STUDIES:
        raise ValueError(
            f"--experiment={experiment}: expected all, or one of {', '.join(EXHIBITS)}"
            f"{did_you_mean(experiment, EXHIBITS)}"
        )
    return False


def plan(experiment: str, scale: str, base: Config, given: dict[str, Any]) -> dict[str, Config]:
    """The runs behind --experiment, in the order in which they are made; `given` are the flags of the command line."""
    exhibits = EXHIBITS if experiment == "all" else (experiment,)
    wanted = {study for exhibit in exhibits for study in studies_of(exhibit)}
    places, overrides = places_and_overrides(base, given, f"runs/paper_{scale}")
    return {study: study_config(study, scale, places, overrides) for study in STUDIES if study in wanted}


def dry_run(configs: dict[str, Config]) -> str:
    """What each run would cost, and all together."""
    return f"{costs.table(configs)}\n\n{costs.on_clusters(configs)}"


def run(configs: dict[str, Config], experiment: str, scale: str, command: str) -> Pages:
    """Makes the planned runs and writes tables, figures and pages; returns the pages."""
    from experiments.paper import report  # these import matplotlib and jax, which --help does without
    from experiments.paper.reference_rows import paper_rows
    from experiments.pipeline import run as run_study

    folder = Path(next(iter(configs.values())).run.workdir).parent
    pages = pages_of(folder, experiment)
    for number, (study, config) in enumerate(configs.items(), start=1):
        if is_first():
            print(f"[{number}/{len(configs)}] {study}", flush=True)
        rows = Path(config.run.workdir) / "results.jsonl"
        before = rows.read_bytes() if rows.exists() else b""
        run_study(config, reference_rows=paper_rows(config))
        # After every run that found something, so that one that fails later takes nothing away.
        if is_first() and (rows.read_bytes() != before or number == len(configs)):
            report.write(experiment, folder, pages, f"The paper's tables and figures at scale {scale}", command)
    return pages
