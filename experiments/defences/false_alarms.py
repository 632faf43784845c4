"""Harm by false alarm: an attacker's request in the same deletion, made so that an honest person's fails."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tabulate import tabulate

from experiments.defences.attackers import Attack
from experiments.defences.rows import outcome
from experiments.run.records import Record
from overunlearn_jax.attack_names import HONEST, attack_name
from overunlearn_jax.defences.defended import DefendedService
from overunlearn_jax.evaluation import evaluate_all
from overunlearn_jax.statistics.intervals import Interval, mean_interval
from overunlearn_jax.types import Key, Request, Split

BESIDE = " beside "  # in the name of a request: whose it is, and what stands in the same deletion


class Alarm(NamedTuple):
    """What becomes of an honest person's samples. Fractions of them."""

    defence: str
    attack: str
    forgotten: Interval
    step_kept: Interval | None  # the part of the whole deletion's step that a bound leaves


def in_company(honest: Request, other: Request, name: str) -> Attack:
    """An honest person's request and, after it, another one of as many samples; `name` says whose that is."""
    count = min(len(honest.labels), len(other.labels))
    pair = [Request(each.images[:count], each.labels[:count]) for each in (honest, other)]
    return Attack(f"{HONEST}{BESIDE}{name}", pair, adaptive=True)


def alarm_record(pair: Attack, service: DefendedService, key: Key, test: Split, class_a: int) -> dict[str, Any]:
    """What becomes of two requests in one deletion, see `in_company`.

    `through` counts the honest person's samples alone. Whether they were refused for their company is seen beside an
    honest request in the attacker's place.
    """
    count, known = len(pair.requests[0].labels), len(service.records)
    with service.after(pair.requests, key) as left:
        answering = {} if left.predict is None else {pair.name: left.predict}
        metrics = evaluate_all(answering, test, service.spec.num_classes).get(pair.name)
    through = count if released(service, known) else 0
    return {**outcome(pair, count, through, metrics, class_a), "step_kept": left.deletion.step_kept}


def released(service: DefendedService, known: int) -> bool:
    """Whether the first request of the call was let through; `known` records were there before.

    What is rolled back as a whole may be released in parts: the last word counts.
    """
    said = [record.decision for record in service.records[known:] if record.request == 0]
    return not said or bool(said[-1].accepted.all())


def alarms(rows: Sequence[Record]) -> list[Alarm]:
    """A line for each defence and attack, in the order of the records."""
    own = [row for row in rows if BESIDE in row["request"]]
    found = []
    for defence, request in dict.fromkeys((row["defence"], row["request"]) for row in own):
        of = [row for row in own if (row["defence"], row["request"]) == (defence, request)]
        kept = [row["step_kept"] for row in of if row["step_kept"] is not None]
        forgotten = mean_interval([row["through"] / row["samples"] for row in of])
        found.append(Alarm(defence, request.split(BESIDE)[1], forgotten, mean_interval(kept) if kept else None))
    return found


def section(found: Sequence[Alarm]) -> str:
    """The page's."""
    lines = [
        [
            each.defence,
            attack_name(each.attack, at_start=True),
            f"{100 * each.forgotten.mean:.0f}",
            "–" if each.step_kept is None else f"{each.step_kept.mean:.2f}",
        ]
        for each in found
    ]
    headers = ["Defence", "Beside it", "Forgotten of the honest request, %", "Of the step that is kept"]
    told = (
        "An honest person's request and another one of as many samples are carried out in one deletion, in this order: "
        "an honest one, to compare with, or an attacker's. By request: what is rolled back together is tried one by "
        "one. Means over victims."
    )
    return f"## Harm by false alarm\n\n{told}\n\n{tabulate(lines, headers, 'github', disable_numparse=True)}\n"
