"""The section on requests that were asked again on another machine: how far apart they leave class A."""

from collections.abc import Sequence
from typing import NamedTuple

from tabulate import tabulate

from experiments.defences.attackers import shown_name
from experiments.defences.behind import key_of
from experiments.run.records import Record, device_of

FILE = "asked_again.jsonl"


class Agreement(NamedTuple):
    """What two machines made of the same requests under one method."""

    method: str
    requests: int
    as_many_through: int  # requests of which defences let through as many samples on both
    mean: float  # how far apart class A's accuracy is, a fraction
    most: float
    furthest: str  # the request of which `most` is


def agreements(again: Sequence[Record], rows: Sequence[Record]) -> list[Agreement]:
    """One for each method. Raises ValueError for a request that `rows` do not have."""
    first = {_name(row): row for row in rows}
    for row in again:
        if _name(row) not in first or first[_name(row)]["victim"] != row["victim"]:
            raise ValueError(
                f"{FILE} has {_name(row)} of the victim {row['victim']}, and harm.jsonl has no such record: it holds "
                "requests that were asked of the same victims before"
            )
    found = []
    for method in dict.fromkeys(row["method"] for row in again):
        pairs = [(row, first[_name(row)]) for row in again if row["method"] == method]
        apart = [abs(one["class_a"] - other["class_a"]) for one, other in pairs]
        alike = sum(one["through"] == other["through"] for one, other in pairs)
        most = max(range(len(pairs)), key=lambda place: apart[place])
        found.append(
            Agreement(method, len(pairs), alike, sum(apart) / len(apart), apart[most], pairs[most][0]["request"])
        )
    return found


def section(again: Sequence[Record], rows: Sequence[Record]) -> str:
    """A line for each method."""
    lines = [
        [
            each.method,
            f"{each.requests} of {sum(row['method'] == each.method for row in rows)}",
            each.as_many_through,
            f"{100 * each.mean:.2f}",
            f"{100 * each.most:.1f} ({shown_name(each.furthest)})",
        ]
        for each in agreements(again, rows)
    ]
    headers = ["Method", "Requests", "As many samples through", "Class A apart, mean, points", "Most, points"]
    devices, commits = (", ".join(dict.fromkeys(each)) for each in (map(device_of, again), _of(again, "commit")))
    told = (
        f"The same victims, and requests made anew, on {devices} at commit {commits}, in their order as far as they "
        "went: how far class A's accuracy then is from what the tables above are made of."
    )
    return (
        f"## Asked again elsewhere\n\n{told}\n\n{tabulate(lines, headers, tablefmt='github', disable_numparse=True)}\n"
    )


def _of(rows: Sequence[Record], name: str) -> list[str]:
    return [str(row[name]) for row in rows]


def _name(row: Record) -> tuple[object, ...]:
    return row["seed"], row["method"], *key_of(row)
