"""What a push costs by the width of the network, at equal honest cost: the controls of several widths on one page.

    python -m experiments.controls.widths --rows=experiments/results/controls

Reads every controls.jsonl in that folder and below it, and writes widths.md and widths.png there. Trains nothing.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags
from tabulate import tabulate

from experiments.controls import question
from experiments.controls.cells import LEFT_OUT
from experiments.controls.page import interval, number, points, share
from experiments.controls.requests import FIVE_TIMES
from experiments.controls.widths_figure import PAPER_HARM, Width, draw
from experiments.run.records import Record, joined, read_records
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.files import write_bytes
from overunlearn_jax.statistics.intervals import Interval, mean_interval

METHOD, PUSH = "first_order", "pushing_1"


def main(arguments: list[str]) -> None:
    """Records to a page and a picture."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments {arguments[1:]}")
    print(write(Path(flags.FLAGS.rows)))


def write(folder: Path) -> Path:
    """Writes the page beside its records. Raises app.UsageError where there are none."""
    files = sorted(folder.rglob("controls.jsonl"))
    if not files:
        raise app.UsageError(f"{folder}: no controls.jsonl there or below: make some, python -m experiments.controls")
    rows = [row for file in files for row in read_records(file)]
    found = by_width(rows)
    draw(found, folder / "widths.png")
    return write_bytes(folder / "widths.md", markdown(rows, found).encode())


def by_width(rows: Sequence[Record]) -> list[Width]:
    """One for each reading and width, in that order."""
    own = [row for row in rows if row["method"] == METHOD and LEFT_OUT not in row]
    places = sorted({(row["reading"], _width(row)) for row in own})
    return [
        _of(reading, width, [row for row in own if (row["reading"], _width(row)) == (reading, width)])
        for reading, width in places
    ]


def _width(row: Record) -> int:
    found = re.search(r"width (\d+)", str(row["model"]))
    if found is None:
        raise ValueError(f"a record of {row['model']}: expected networks that differ in their width alone")
    return int(found[1])


def _of(reading: str, width: int, rows: Sequence[Record]) -> Width:
    def of(request: str) -> list[Record]:
        return [row for row in rows if row["request"] == request]

    def needed(found: Interval | None) -> Interval:
        assert found is not None  # every victim has an honest and a pushed request
        return found

    return Width(
        reading,
        width,
        mean_interval([row["overall_before"] for row in of(HONEST)]),
        mean_interval([row["overall"] for row in of(HONEST)]),
        mean_interval([row["class_a_before"] for row in of(HONEST)]),
        needed(interval(rows, of(PUSH), lambda row, honest: honest["class_a"] - row["class_a"])),
        needed(interval(rows, of(PUSH), lambda row, honest: row["times_honest"])),
        needed(interval(rows, of(PUSH), lambda row, honest: row["class_a_of_longer_honest"] - row["class_a"])),
        interval(rows, of(FIVE_TIMES), lambda row, honest: row["class_a_before"] - row["class_a"]),
    )


def markdown(rows: Sequence[Record], found: Sequence[Width]) -> str:
    """Finding, verdict on the question asked beforehand, how sure it is, tables."""
    parts = ["# What a push costs, by the width of the network", ""]
    for reading in dict.fromkeys(each.reading for each in found):
        own = [each for each in found if each.reading == reading]
        told = ", ".join(f"{points(_several(each.harm))} at width {each.width}" for each in own)
        parts.append(f"* **{reading}**: a push costs class A {told} (paper, width 128: {PAPER_HARM:.1f}).")
    parts += ["", "![Harm by width](widths.png)", ""]
    if answers := question.answers([row for row in rows if LEFT_OUT not in row]):
        parts += [
            "## Is width the reason?",
            "",
            *(question.sentence(each, points(_several(each.harm))) for each in answers),
            "",
        ]
    parts += [
        "VGG-3 on CIFAR-10, 10 % of airplane, at rates at which the honest request costs class A 6.1 points of "
        "validation images. Means over victims, in brackets 95 % Student-t intervals of three victims or more. Made at "
        f"commits {joined(rows, 'commit')} on {joined(rows, 'device')}.",
        "",
    ]
    parts += [
        f"* Seed {row['seed']} of {row['model']} is left out of {row['reading']}: {row[LEFT_OUT]}"
        for row in rows
        if LEFT_OUT in row and row["method"] == METHOD
    ]
    parts += [
        f"* Seed {row['seed']} of {row['model']} under {row['reading']}: the class loses so much to an honest request "
        f"only where the whole model is lost, {100 * row['overall']:.1f} % of all test images right at rate "
        f"{row['rate']:.2g}."
        for row in rows
        if LEFT_OUT not in row
        and (row["method"], row["request"]) == (METHOD, HONEST)  # whose rate is chosen
        and row["overall"] < row["overall_before"] / 2
    ]
    for reading in dict.fromkeys(each.reading for each in found):
        parts += ["", f"## {reading}", "", table([each for each in found if each.reading == reading])]
    return "\n".join(parts) + "\n"


def _several(found: Interval) -> Interval:
    """As it is shown: two victims have an interval that says nothing."""
    return found if found.count >= question.FEWEST else found._replace(count=1)


def table(widths: Sequence[Width]) -> str:
    """A line for each width."""
    lines = [
        [
            each.width,
            each.harm.count,
            share(_several(each.overall)),
            share(_several(each.overall_left)),
            share(_several(each.before)),
            points(_several(each.harm)),
            number(_several(each.times)),
            points(_several(each.beyond_longer)),
            points(None if each.five_times is None else _several(each.five_times)),
        ]
        for each in widths
    ]
    headers = [
        "Width",
        "Victims",
        "Overall before, %",
        "Overall after honest, %",
        "Class A before, %",
        "A push beyond honest, points",
        "Its step, in honest steps",
        "Beyond an honest step as long",
        "Honest, five times as many, costs",
    ]
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)


if __name__ == "__main__":
    flags.DEFINE_string("rows", "experiments/results/controls", "folder with a controls.jsonl for each width")
    app.run(main)
