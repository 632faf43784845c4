"""The grid's page, from the rows of its runs."""

import json
from pathlib import Path

from experiments.methods import figure, tables
from experiments.methods.choice import choose
from experiments.methods.grid import LADDERS, all_runs
from experiments.pictures import save_figure
from experiments.suites import copy_rows, read_findings
from overunlearn_jax.files import write_bytes
from overunlearn_jax.reporting import read_rows

EXPLAINED = (
    "Mean over seeds [95 % Student-t interval]. Each method stands at its strongest setting, of those tried, whose "
    "honest request costs class A no more than the paper's 6.1 points: chosen on honest requests alone. Seconds are "
    "those of unlearning without compiling; retraining and SISA, where one request does the work, compile in theirs."
)
MATCHED = (
    "A method that holds training data forgets the training samples that are nearest to the submitted images. Where "
    "all of them are the originals, retraining and SISA do exactly what they do for an honest request: their 0.0 is "
    "then no measurement but a consequence."
)
FORGOTTEN = (
    "The forget set holds what the victim predicts rightly, and the test samples that it is told from are not chosen; "
    "so the retrained model's AUC lies above 0.5, and what forgetting aims at is 0 *beyond* it, paired over seeds. "
    "LiRA's shadow models are single networks trained on random halves of the data and of the test airplanes, also "
    "beside SISA's ensemble. JS of `retrain`, a second retraining by other random numbers, is what chance makes of it."
)
STRENGTHS = (
    "From weak to strong; in bold the one of the tables above. Points of class A. *diverged*: the seeds in which the "
    "method ended without a finite model, which it says."
)


def write(folder: Path, page: Path, title: str, command: str) -> Path:
    """Writes the page of the runs in `folder`; its figure goes beside them."""
    paths = {each.folder: folder / each.folder / "results.jsonl" for each in all_runs()}
    results = {name: read_rows(path) for name, path in paths.items() if path.exists()}
    chosen = {method: found for method in LADDERS if (found := choose(results, method))}
    picture = save_figure(figure.draw(chosen), folder / "methods.png")
    findings = read_findings(folder)  # by "about", "harm" and "forgetting"
    blocks = [
        f"# {title}",
        f"```\n{command}\n```",
        *findings.get("about", ()),
        EXPLAINED,
        "## Harm: points of class A (over-unlearning I) and class B (II) beyond the honest request",
        MATCHED,
        tables.harm(chosen),
        *findings.get("harm", ()),
        f"![Harm over forgetting]({picture.relative_to(page.parent).as_posix()})",
        "## Forgetting: after an honest request",
        FORGOTTEN,
        tables.forgetting(chosen),
        *findings.get("forgetting", ()),
        "## Every strength that was tried",
        STRENGTHS,
        tables.strengths(results),
        *findings.get("strengths", ()),
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
    copy_rows(runs, rows, (run.folder for run in all_runs()))
