"""What the suites of runs share, the paper's and the methods': flags, places, collected rows, findings."""

import re
import shutil
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.config import DEFAULTS, Config
from overunlearn_jax.digests import sealed_text
from overunlearn_jax.files import write_bytes

PLACES = ("workdir", "cache_dir", "data_dir", "force", "save_requests", "experiment")


class Pages(NamedTuple):
    """The same page twice."""

    text: Path  # Markdown
    html: Path


def pages_of(folder: Path, experiment: str) -> Pages:
    """The pages of a table or figure, or of all, beside the folders of its runs."""
    if experiment == "all":
        return Pages(folder / "paper.md", folder / "report.html")
    return Pages(folder / f"{experiment}.md", folder / f"{experiment}.html")


def places_and_overrides(base: Config, given: dict[str, Any], workdir: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The flags that say where a suite's runs go, and the `given` ones that change what all of them compute.

    `workdir` takes the place of the quickstart's.
    """
    places = {name: base.flat()[name] for name in PLACES}
    if base.run.workdir == DEFAULTS["workdir"]:
        places["workdir"] = workdir
    return places, {name: value for name, value in given.items() if name not in PLACES}


def copy_rows(runs: Path, rows: Path, names: Iterable[str]) -> None:
    """Copies rows and manifests of those runs in a folder that have any; commands without this machine's folders."""
    from experiments.run.outputs import read_manifest  # imports jax, which --help does without

    for name in names:
        if (runs / name / "results.jsonl").exists():
            (rows / name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(runs / name / "results.jsonl", rows / name / "results.jsonl")
            made = read_manifest(runs / name)
            made["command"] = command_elsewhere(made["command"])
            write_bytes(rows / name / "manifest.json", sealed_text(made).encode())


def command_elsewhere(command: str) -> str:
    """A command as it was typed, but for where the data lay.

    >>> command_elsewhere("python -m experiments.main --data_dir=/home/me/tfds --scale=cpu")
    'python -m experiments.main --data_dir=FOLDER --scale=cpu'
    """
    return re.sub(r"--data_dir=\S+", "--data_dir=FOLDER", command)


def read_findings(folder: Path) -> Mapping[str, Sequence[str]]:
    """Lines on what was found, by the part of the page: `findings.toml` beside the rows, `harm = ["...", "..."]`."""
    path = folder / "findings.toml"
    return tomllib.loads(path.read_text()) if path.exists() else {}
