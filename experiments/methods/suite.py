"""Runs the grid of methods and requests, and writes its page.

python -m experiments.main --flagfile=experiments/flagfiles/methods.cfg --scale=cpu --data_dir=FOLDER

A killed run goes on with the same command. `collect` takes the rows to another folder, for a page from rows alone.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from experiments.config import Config
from experiments.methods.choice import choose
from experiments.methods.grid import LADDERS, Run, run_config, runs_of
from experiments.paper.places import Pages
from experiments.processes import is_first
from overunlearn_jax.files import write_bytes
from overunlearn_jax.reporting import read_rows

NAME = "methods"
PLACES = ("workdir", "cache_dir", "data_dir", "force", "save_requests", "experiment")
EXPLAINED = (
    "Mean over seeds [95 % Student-t interval]. Each method stands at its strongest setting, of those tried, whose "
    "honest request costs class A no more than the paper's 6.1 points: chosen on honest requests alone."
)


def all_runs() -> list[Run]:
    """In the order in which they are made."""
    return [run for method in LADDERS for run in runs_of(method)]


def plan(scale: str, base: Config, given: dict[str, Any]) -> dict[str, Config]:
    """The config of every run, by its folder; `given` are the flags of the command line."""
    overrides = {name: value for name, value in given.items() if name not in PLACES}
    places = {name: getattr(base, name) for name in PLACES}
    if base.workdir == Config().workdir:
        places["workdir"] = f"runs/methods_{scale}"
    return {run.folder: run_config(run, scale, places, overrides) for run in all_runs()}


def run(configs: dict[str, Config], scale: str, command: str) -> Pages:
    """Makes the runs and writes the page after each."""
    from experiments.pipeline import run as run_one

    folder = Path(next(iter(configs.values())).workdir).parent
    pages = Pages(folder / "methods.md", folder / "methods.md")
    for number, (name, config) in enumerate(configs.items(), start=1):
        if is_first():
            print(f"[{number}/{len(configs)}] {name}", flush=True)
        run_one(config)
        if is_first():
            write(folder, pages.text, f"Unlearning methods and malicious requests, scale {scale}", command)
    return pages


def write(folder: Path, page: Path, title: str, command: str) -> Path:
    """Writes the page of the runs in `folder`; its figure goes beside them."""
    from experiments.methods import figure, tables  # --help does without what they import

    paths = {each.folder: folder / each.folder / "results.jsonl" for each in all_runs()}
    results = {name: read_rows(path) for name, path in paths.items() if path.exists()}
    chosen = {method: found for method in LADDERS if (found := choose(results, method))}
    picture = figure.write(figure.draw(chosen), folder / "methods.png")
    blocks = [
        f"# {title}",
        f"```\n{command}\n```",
        EXPLAINED,
        "## Harm: points of class A (over-unlearning I) and class B (II) beyond the honest request",
        tables.harm(chosen),
        f"![Harm over forgetting]({picture.relative_to(page.parent).as_posix()})",
        "## Forgetting: after an honest request",
        tables.forgetting(chosen),
        "## Runs",
        "\n".join(_made(folder, name) for name in results),
    ]
    return write_bytes(page, ("\n\n".join(blocks) + "\n").encode())


def _made(folder: Path, name: str) -> str:
    made = json.loads((folder / name / "manifest.json").read_text())
    seeds = ", ".join(map(str, made["seeds"]))
    return f"- {name}: {made['device']}, {made['cpu']}, seeds {seeds}, {made.get('seconds', 0) / 60:,.1f} minutes"


def collect(runs: Path, rows: Path) -> None:
    """Copies rows and manifests of the runs in a folder."""
    for each in all_runs():
        if (runs / each.folder / "results.jsonl").exists():
            (rows / each.folder).mkdir(parents=True, exist_ok=True)
            for name in ("results.jsonl", "manifest.json"):
                shutil.copyfile(runs / each.folder / name, rows / each.folder / name)
