"""The section on what was asked again elsewhere: how far apart class A is left, and whom gates then let pass."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from tabulate import tabulate

from experiments.defences.attackers import shown_name
from experiments.defences.behind import key_of
from experiments.run.records import Record, device_of, joined
from overunlearn_jax.reporting.wording import NOTHING

FILE = "asked_again.jsonl"
AT_GATES = "gates_asked_again.jsonl"


class Agreement(NamedTuple):
    """What two runs made of the same requests under one method."""

    method: str
    device: str  # of the second
    requests: int
    as_many_through: int  # requests of which defences let through as many samples in both
    one_destroyed: int  # requests that left a model in one of both alone
    mean: float  # how far apart class A's accuracy is where both left one, a fraction; NaN where none did
    most: float
    furthest: str  # the request of which `most` is; empty where both left no model


def agreements(again: Sequence[Record], rows: Sequence[Record]) -> list[Agreement]:
    """One for each method and device. Raises ValueError for a request that `rows` do not have of the same victim."""
    first = {_name(row): row for row in rows}
    for row in again:
        if _name(row) not in first or first[_name(row)]["victim"] != row["victim"]:
            raise ValueError(
                f"{FILE} has {_name(row)} of the victim {row['victim']}, and harm.jsonl has no such record: it holds "
                "requests that were asked of the same victims before"
            )
    found = []
    for method, device in dict.fromkeys((row["method"], device_of(row)) for row in again):
        own = [row for row in again if (row["method"], device_of(row)) == (method, device)]
        pairs = [(row, first[_name(row)]) for row in own]
        left = [tuple(each["class_a"] is not None for each in pair) for pair in pairs]
        apart = [
            (abs(one["class_a"] - other["class_a"]), one["request"])
            for (one, other), both in zip(pairs, left, strict=True)
            if all(both)
        ]
        most, furthest = max(apart, key=lambda each: each[0], default=(math.nan, ""))
        found.append(
            Agreement(
                method,
                device,
                len(pairs),
                sum(one["through"] == other["through"] for one, other in pairs),
                sum(one != other for one, other in left),
                sum(each for each, _ in apart) / len(apart) if apart else math.nan,
                most,
                furthest,
            )
        )
    return found


def at_gates(again: Sequence[Record], rows: Sequence[Record]) -> list[int]:
    """How many samples more or fewer a gate accepts, for each record that was made again.

    Raises ValueError for a gate, a threshold or people that `rows` do not have.
    """
    first = {_at_gate(row): row["accepted"] for row in rows}
    if unknown := [_at_gate(row) for row in again if _at_gate(row) not in first]:
        raise ValueError(f"{AT_GATES} has {unknown[0]}, and gates.jsonl has not: it holds what was asked before")
    return [abs(row["accepted"] - first[_at_gate(row)]) for row in again]


def section(again: Sequence[Record], rows: Sequence[Record], apart_at_gates: Sequence[int] = ()) -> str:
    """A line for each method and device, and how far apart the gates are."""
    lines = [
        [
            each.method,
            each.device,
            f"{each.requests} of {sum(row['method'] == each.method for row in rows)}",
            each.as_many_through,
            each.one_destroyed,
            f"{100 * each.mean:.2f}" if each.furthest else NOTHING,
            _most(each),
        ]
        for each in agreements(again, rows)
    ]
    headers = [
        "Method",
        "Device",
        "Requests",
        "As many samples through",
        "Left no model in one alone",
        "Class A apart, mean, points",
        "Most, points",
    ]
    told = (
        f"The same victims, and requests made anew, at commit {joined(again, 'commit')}, in their order as far as each "
        "run went: how far class A's accuracy then is from what the tables above are made of."
    )
    if apart_at_gates:
        told += (
            f" Of {len(apart_at_gates)} counts of who gets through a gate {sum(not each for each in apart_at_gates)} "
            f"are the same again; the furthest is {max(apart_at_gates)} of some four hundred samples away."
        )
    table = tabulate(lines, headers, tablefmt="github", disable_numparse=True)
    return f"## Asked again elsewhere\n\n{told}\n\n{table}\n"


def _most(each: Agreement) -> str:
    """With the request of which it is, where there is any difference."""
    if not each.furthest:
        return NOTHING
    return f"{100 * each.most:.1f} ({shown_name(each.furthest)})" if each.most else "0"


def _name(row: Record) -> tuple[object, ...]:
    return row["seed"], row["method"], *key_of(row)


def _at_gate(row: Record) -> tuple[object, ...]:
    return tuple(row[name] for name in ("seed", "victim", "gate", "refuse", "who", "name", "samples"))
