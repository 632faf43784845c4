"""The grid's page, from the rows of its runs."""

import itertools
from collections.abc import Hashable, Sequence
from pathlib import Path

from experiments.methods import figure, tables
from experiments.methods.choice import Results, Row, choose, victim_of
from experiments.methods.grid import LADDERS, all_runs
from experiments.run.outputs import read_manifest
from experiments.run.pictures import save_figure
from experiments.suites.places import copy_rows, read_findings
from overunlearn_jax.attack_names import ATTACKS
from overunlearn_jax.files import write_bytes
from overunlearn_jax.reporting import read_rows
from overunlearn_jax.reporting.forgetting import EXPLAINED as FORGETTING

EXPLAINED = (
    "Mean over seeds [95 % Student-t interval]; a number alone is one seed's. Each method stands at its strongest "
    "setting, of those tried, whose honest request costs class A no more than the paper's 6.1 points in the mean: "
    "chosen on honest requests alone, and so for no attack and against none, but on the same test images and seeds. "
    "first_order is the reading that the package calls `corrected`. *Victims*: methods of one number unlearn the same "
    "networks, one of two numbers those of each in some seeds. *diverged*: the seeds in which the method gave up, or "
    "left a model whose answers are not finite."
)
HARM = (
    "Points that a malicious request takes beyond the honest one of the same samples; below 0 it takes less. A method "
    "that holds training data takes the training samples that are nearest to the submitted images out of what it "
    "retains. Retraining, SISA and retain_tuning make no other use of the images. Where the samples found are exactly "
    "the originals, they do exactly what they do for an honest request: their 0.0 is then no measurement but a "
    "consequence."
)
BESIDE = (
    "*Beyond retrained* is the difference from the retrained model, paired over seeds: 0 is what forgetting aims at. "
    "The retrained model is a single network, too, also beside SISA's ensemble; so for SISA *beyond retrained* and JS "
    "hold the difference between an ensemble and one network as well. JS of `retrain`, a second retraining by other "
    "random numbers, is what chance makes of it. Seconds are those of unlearning without compiling; retraining and "
    "SISA, where one request does the work, compile in theirs."
)
SHADOWS = "LiRA's shadow models are single networks, each of a random half of the data and of the test airplanes."
ROUNDING = 1e-3  # of an AUC, between devices
STRENGTHS = "From weak to strong; in bold the one of the tables above. Points of class A."


def write(folder: Path, page: Path, title: str, command: str) -> Path:
    """Writes the page of the runs in `folder`; its figure goes beside them.

    Raises ValueError for runs that measured the same victim differently.
    """
    paths = {each.folder: folder / each.folder / "results.jsonl" for each in all_runs()}
    results = {name: read_rows(path) for name, path in paths.items() if path.exists()}
    _check_measured_alike(results)
    chosen = {method: found for method in LADDERS if (found := choose(results, method))}
    pictures = {
        name: save_figure(draw(chosen), folder / f"{name}.png").relative_to(page.parent).as_posix()
        for name, draw in (("harm", figure.harm), ("forgetting", figure.forgetting))
    }
    findings = read_findings(folder)  # by "about", "harm", "forgetting" and "strengths"
    blocks = [
        f"# {title}",
        f"```\n{command}\n```",
        *findings.get("about", ()),
        EXPLAINED,
        "## Harm: over-unlearning I (class A) and II (class B)",
        HARM,
        tables.harm(chosen),
        *findings.get("harm", ()),
        f"![What a push takes beyond an honest request, a line for each method]({pictures['harm']})",
        "## Forgetting: after an honest request",
        FORGETTING,
        BESIDE,
        *([SHADOWS] if "lira_auc" in tables.attackers_of(chosen.values()).values() else []),
        tables.forgetting(chosen),
        *findings.get("forgetting", ()),
        f"![What an attacker can still tell, a line for each method]({pictures['forgetting']})",
        "## Every strength that was tried",
        STRENGTHS,
        tables.strengths(results),
        *findings.get("strengths", ()),
        "## Runs",
        "\n".join(_made(folder, name, rows) for name, rows in results.items()),
    ]
    return write_bytes(page, ("\n\n".join(blocks) + "\n").encode())


def _made(folder: Path, name: str, rows: Sequence[Row]) -> str:
    made = read_manifest(folder / name)
    finished, planned = _finished(rows), sorted(made["seeds"])
    seeds = ", ".join(map(str, finished)) or "none"
    missing = "" if finished == planned else f" finished, of {', '.join(map(str, planned))}"
    commit = (made.get("git_commit") or "unknown")[:7] + (" (with changes)" if made.get("git_dirty") else "")
    minutes = f"{made.get('seconds', 0) / 60:,.1f} minutes"
    return f"- {name}: {made['device']}, {made['cpu']}, seeds {seeds}{missing}, {minutes}, commit {commit}"


def _finished(rows: Sequence[Row]) -> list[int]:
    """The seeds that have a row for every request at every rate."""
    found = {(row["seed"], row["attack"], row["tau"]) for row in rows}
    cells = list(itertools.product(ATTACKS, {row["tau"] for row in rows}))
    return [seed for seed in sorted({row["seed"] for row in rows}) if found >= {(seed, *cell) for cell in cells}]


def _check_measured_alike(results: Results) -> None:
    """Raises ValueError where two runs say different things of the same victim."""
    known: dict[Hashable, tuple[float, str]] = {}
    for name, rows in results.items():
        for row in rows:
            if (found := row.get("confidence_auc_before")) is None:
                continue
            before, where = known.setdefault(victim_of(row), (found, name))
            if abs(before - found) > ROUNDING:
                raise ValueError(
                    f"the confidence AUC of the victim {row['victim']} is {before:.4f} in {where} and {found:.4f} in "
                    f"{name}: they were measured in different ways, as by different versions; delete the older run's "
                    "folder and make it again"
                )


def collect(runs: Path, rows: Path) -> None:
    """Copies rows and manifests of the runs in a folder, as far as they have come."""
    copy_rows(runs, rows, (run.folder for run in all_runs()))
