"""The page of the controls: the finding, how sure it is, then a table for each method."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from experiments.controls import question
from experiments.controls.measure import HONEST
from experiments.controls.requests import NAMES
from overunlearn_jax.attack_names import attack_name
from overunlearn_jax.files import write_bytes
from overunlearn_jax.statistics.intervals import Interval, mean_interval, within
from overunlearn_jax.types import Split

Row = dict[str, Any]
FOUND = "pushing_1"  # the request that the first sentences speak of
PER_CENT = 100.0


def of_class(split: Split, label: int) -> Split:
    """The samples of one class."""
    rows = np.flatnonzero(split.labels == label)
    return Split(*(array[rows] for array in split))


def read(path: Path) -> list[Row]:
    """The rows; half a line at the end, which a kill left, is removed from the file. Empty where there is none."""
    if not path.exists():
        return []
    whole, _, half = path.read_bytes().rpartition(b"\n")
    if half:
        path.write_bytes(whole + b"\n" if whole else b"")
    return [json.loads(line) for line in whole.splitlines() if line]


def write(folder: Path) -> Path:
    """Writes FOLDER/controls.md of its rows. Raises ValueError where there are none."""
    rows = read(folder / "controls.jsonl")
    if not rows:
        raise ValueError(f"{folder / 'controls.jsonl'} has no row: no method moved any victim as far as was asked for")
    path = folder / "controls.md"
    write_bytes(path, markdown(rows).encode())
    return path


def markdown(rows: Sequence[Row]) -> str:
    """Finding first, tables behind."""
    parts = ["# What a push does that a longer honest step does not", ""]
    models = {
        model: [row for row in rows if row["model"] == model] for model in dict.fromkeys(r["model"] for r in rows)
    }
    for model, of_model in models.items():
        parts += [f"**{model}**", "", finding(of_model), ""]
    found = question.answers(rows)
    if found:
        parts += ["## Is width the reason?", "", *map(_answered, found), ""]
    for model, of_model in models.items():
        for method, reading in dict.fromkeys((row["method"], row["reading"]) for row in of_model):
            own = [row for row in of_model if (row["method"], row["reading"]) == (method, reading)]
            parts += [f"## {model}: {method}, {reading}", "", table(own), ""]
    return "\n".join(parts)


def _answered(answer: question.Answer) -> str:
    return (
        f"* **{answer.verdict}** under {answer.reading}: a push costs class A {_points(answer.harm)} points beyond an "
        f"honest request, {answer.harm.count} victims; an honest request of five times as many samples costs "
        f"{PER_CENT * answer.five_times:.1f} points. What decides was written down before: "
        "[question.toml](question.toml)."
    )


def finding(rows: Sequence[Row]) -> str:
    """A sentence for each method: how much longer a push's step is, and the harm that is left at equal length."""
    lines = []
    for method, reading in dict.fromkeys((row["method"], row["reading"]) for row in rows):
        own = [row for row in rows if (row["method"], row["reading"], row["request"]) == (method, reading, FOUND)]
        if not own:
            continue
        harm = interval(rows, own, lambda row, honest: honest["class_a"] - row["class_a"])
        left = interval(rows, own, lambda row, honest: row["class_a_of_longer_honest"] - row["class_a"])
        short = interval(rows, own, lambda row, honest: honest["class_a"] - row["class_a_shortened"])
        times = interval(rows, own, lambda row, honest: row["times_honest"])
        cosine = interval(rows, own, lambda row, honest: row["cosine"])
        lines.append(
            f"* **{method}, {reading}**: {attack_name(FOUND, at_start=True)} costs class A {_points(harm)} points "
            f"beyond an honest request of the same samples. Its step is {_number(times)} times as long (cosine "
            f"{_number(cosine)}). An honest step of that length leaves {_points(left)} of these points; the push made "
            f"as short as the honest step costs {_points(short)}."
        )
    return "\n".join(lines)


def table(rows: Sequence[Row]) -> str:
    """A line for each request: means over victims with intervals at 95 %."""
    lines = []
    for request in dict.fromkeys(row["request"] for row in rows):
        own = [row for row in rows if row["request"] == request]
        lines.append(
            [
                NAMES.get(request) or attack_name(request, at_start=True),
                _number(interval(rows, own, lambda row, honest: row["times_honest"])),
                _number(interval(rows, own, lambda row, honest: row["cosine"])),
                _left(interval(rows, own, lambda row, honest: row["class_a"])),
                _points(interval(rows, own, lambda row, honest: honest["class_a"] - row["class_a"])),
                _points(interval(rows, own, lambda row, honest: row["class_a_of_longer_honest"] - row["class_a"])),
                _points(interval(rows, own, lambda row, honest: honest["class_a"] - row["class_a_shortened"])),
                _left(interval(rows, own, lambda row, honest: row["overall"])),
            ]
        )
    headers = [
        "Request", "Length, in honest steps", "Cosine", "Class A left, %", "Beyond honest, points",
        "Beyond an honest step as long", "Made as short, beyond honest", "Overall, %",
    ]  # fmt: skip
    before = mean_interval([row["class_a_before"] for row in rows if row["request"] == HONEST])
    rates = [row["rate"] for row in rows if row["request"] == HONEST and row["rate"] is not None]
    chosen = f" Rates {min(rates):.2g} to {max(rates):.2g}." if rates else ""
    count = len({row["seed"] for row in rows})
    told = f"Class A before: {_left(before)} %. {count} victims, means with 95 % intervals over them.{chosen}"
    return f"{told}\n\n{tabulate(lines, headers, tablefmt='github', disable_numparse=True)}"


def interval(rows: Sequence[Row], own: Sequence[Row], value: Callable[[Row, Row], float | None]) -> Interval | None:
    """Of a value of each row and the honest row of the same victim and method; None where no victim has it."""
    honest = {(row["seed"], row["method"], row["reading"]): row for row in rows if row["request"] == HONEST}
    values = []
    for row in own:
        partner = honest.get((row["seed"], row["method"], row["reading"]))
        try:
            found = None if partner is None else value(row, partner)
        except TypeError:  # one of the two diverged, and is null
            found = None
        if found is not None:
            values.append(found)
    return mean_interval(values) if values else None


def _points(found: Interval | None) -> str:
    return _told(found, PER_CENT, 1)


def _left(found: Interval | None) -> str:
    """Of an accuracy, which is no less than nothing and no more than all."""
    return _points(None if found is None else within(found, 0.0, 1.0))


def _number(found: Interval | None) -> str:
    return _told(found, 1.0, 2)


def _told(found: Interval | None, unit: float, digits: int) -> str:
    if found is None:
        return "–"
    if found.count == 1:
        return f"{unit * found.mean:.{digits}f}"
    return f"{unit * found.mean:.{digits}f} [{unit * found.low:.{digits}f}, {unit * found.high:.{digits}f}]"
