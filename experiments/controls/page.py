"""The page of the controls: the finding, how sure it is, then a table for each method."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tabulate import tabulate

from experiments.controls import question
from experiments.controls.cells import LEFT_OUT
from experiments.controls.requests import NAMES
from experiments.run.records import Record, joined, made, read_records, seeds_of
from overunlearn_jax.attack_names import HONEST, attack_name
from overunlearn_jax.files import write_bytes
from overunlearn_jax.reporting.wording import interval_text
from overunlearn_jax.statistics.intervals import Interval, mean_interval, within

FOUND = "pushing_1"  # the request that the first sentences speak of
PER_CENT = 100.0


def write(records: Path) -> Path:
    """Writes controls.md beside the records. Raises ValueError where there are none."""
    rows = read_records(records)
    if all(LEFT_OUT in row for row in rows):
        raise ValueError(f"{records} has no record: no method moved any victim as far as was asked for")
    return write_bytes(records.with_suffix(".md"), markdown(rows).encode())


def markdown(rows: Sequence[Record]) -> str:
    """Finding first, how it was made, tables behind."""
    left_out = [row for row in rows if LEFT_OUT in row]
    rows = [row for row in rows if LEFT_OUT not in row]
    parts = ["# What a push does that a longer honest step does not", "", finding(rows), ""]
    if found := question.answers(rows):
        parts += ["## Is width the reason?", "", *(question.sentence(each, points(each.harm)) for each in found), ""]
    parts += [_made(rows), ""]
    parts += [
        f"* Seed {row['seed']} is left out of {row['method']}, {row['reading']}: {row[LEFT_OUT]}" for row in left_out
    ]
    parts += [""] if left_out else []
    for method, reading in dict.fromkeys((row["method"], row["reading"]) for row in rows):
        own = [row for row in rows if (row["method"], row["reading"]) == (method, reading)]
        parts += [f"## {method}, {reading}", "", table(own), ""]
    return "\n".join(parts)


def _made(rows: Sequence[Record]) -> str:
    return (
        f"Victims: {joined(rows, 'model')}, seeds {seeds_of(rows)}. Accuracies are of test images; rates of "
        f"first-order steps are chosen on validation images. Intervals: 95 %, Student-t over victims. {made(rows)}"
    )


def finding(rows: Sequence[Record]) -> str:
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
            f"* **{method}, {reading}** ({len(own)} victims): {attack_name(FOUND, at_start=True)} costs class A "
            f"{points(harm)} points beyond an honest request of the same samples. Its step is {number(times)} times "
            f"as long (cosine {number(cosine)}). Beyond an honest step of that length it costs {points(left)} "
            f"points; made as short as the honest step, {points(short)}."
        )
    return "\n".join(lines)


def table(rows: Sequence[Record]) -> str:
    """A line for each request: means over victims with intervals at 95 %."""
    lines = []
    count = len({row["seed"] for row in rows})
    for request in dict.fromkeys(row["request"] for row in rows):
        own = [row for row in rows if row["request"] == request]
        lines.append(
            [
                (NAMES.get(request) or attack_name(request, at_start=True))
                + ("" if len(own) == count else f" ({len(own)} victims)"),
                number(interval(rows, own, lambda row, honest: row["times_honest"])),
                number(interval(rows, own, lambda row, honest: row["cosine"])),
                share(interval(rows, own, lambda row, honest: row["class_a"])),
                points(interval(rows, own, lambda row, honest: honest["class_a"] - row["class_a"])),
                points(interval(rows, own, lambda row, honest: row["class_a_of_longer_honest"] - row["class_a"])),
                points(interval(rows, own, lambda row, honest: honest["class_a"] - row["class_a_shortened"])),
                share(interval(rows, own, lambda row, honest: row["overall"])),
            ]
        )
    headers = [
        "Request", "Length, in honest steps", "Cosine", "Class A left, %", "Beyond honest, points",
        "Beyond an honest step as long", "Made as short, beyond honest", "Overall, %",
    ]  # fmt: skip
    before = mean_interval([row["class_a_before"] for row in rows if row["request"] == HONEST])
    rates = [row["rate"] for row in rows if row["request"] == HONEST and row["rate"] is not None]
    chosen = f" Rates {min(rates):.2g} to {max(rates):.2g}." if rates else ""
    told = f"Class A before: {share(before)} %. {count} victims, means with 95 % intervals over them.{chosen}"
    return f"{told}\n\n{tabulate(lines, headers, tablefmt='github', disable_numparse=True)}"


def interval(
    rows: Sequence[Record], own: Sequence[Record], value: Callable[[Record, Record], float | None]
) -> Interval | None:
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


def points(found: Interval | None) -> str:
    """In points of a hundred."""
    return interval_text(found, PER_CENT)


def share(found: Interval | None) -> str:
    """Of an accuracy, which is no less than nothing and no more than all."""
    return points(None if found is None else within(found, 0.0, 1.0))


def number(found: Interval | None) -> str:
    """As it is."""
    return interval_text(found, digits=2)
