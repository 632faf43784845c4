"""The section on what a request takes beyond accuracy."""

from collections.abc import Sequence

from tabulate import tabulate

from experiments.run.records import Record
from overunlearn_jax.reporting.wording import interval_text
from overunlearn_jax.statistics.intervals import mean_interval

NAMES = {
    "before": "before",
    "normal": "after the honest request",
    "pushing_1": "after Pushing-I",
    "pushing_1, bounded": "after Pushing-I, step bounded",
    "retrained": "retrained without the honest request's samples",
}
WORDS = {
    "accuracy": "Accuracy, %",
    "accuracy_under_pgd": "Accuracy under PGD, %",
    "calibration_error": "Calibration error, %",
    "brier": "Brier score",
    "right_near_forgotten": "Right near forgotten samples, %",
}
GROUPS = {"class_a": "class A", "others": "other classes", "forgotten": ""}


def section(rows: Sequence[Record]) -> str:
    """A column for each model, a line for each measure; means over victims with 95 % intervals."""
    states = [name for name in NAMES if any(row["state"] == name for row in rows)]
    lines = []
    for place in dict.fromkeys(map(_place, rows)):
        measure, group, norm, radius = place
        unit = 1.0 if measure == "brier" else 100.0
        where = f" within {radius:.3g} ({'L-infinity' if norm == 'linf' else 'L2'})" if norm else ""
        line = [f"{WORDS[measure]}{', ' * bool(GROUPS[group])}{GROUPS[group]}{where}"]
        for state in states:
            values = [row["value"] for row in rows if row["state"] == state and _place(row) == place]
            known = [value for value in values if value is not None]
            line.append(interval_text(mean_interval(known) if known else None, unit, 1 if unit > 1 else 3))
        lines.append(line)
    victims = len({row["seed"] for row in rows})
    told = (
        f"First-order step; {victims} victims. PGD is the owner's own, white box: what it leaves is an upper bound. "
        "Radii are in units in which pixels have a range of 1. Near forgotten samples: of 32 points in the ball around "
        "each of the honest request's samples, those predicted as its label."
    )
    table = tabulate(lines, ["", *(NAMES[name] for name in states)], tablefmt="github", disable_numparse=True)
    return f"## What a request takes beyond accuracy\n\n{told}\n\n{table}\n"


def _place(row: Record) -> tuple[str, str, str | None, float | None]:
    return row["measure"], row["group"], row["norm"], row["radius"]
