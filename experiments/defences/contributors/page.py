"""The page of the contributors: does over-unlearning reach exact unlearning through poisoning? Then the tables."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tabulate import tabulate

from experiments.defences.contributors.case_records import (
    CLEAN,
    CONTRIBUTED,
    CRAFTED,
    EXACT,
    NO_METHOD,
    NOTHING,
    ORDINARY,
    STEP,
)
from experiments.run.records import Record, joined, made, read_records, seeds_of
from overunlearn_jax.files import write_bytes
from overunlearn_jax.reporting.wording import interval_text
from overunlearn_jax.statistics.intervals import Interval, mean_interval, within

_points = partial(interval_text, unit=100.0)

ALLOWED = 0.05  # class A's accuracy, a fraction: what an audit allows beyond an honest request
Case = tuple[str, str, str]  # trained on, method, deleted
BySeed = Mapping[int, Mapping[Case, Record]]
NAMES = {
    CLEAN: "honest people's samples",
    CONTRIBUTED: "the attacker's among them",
    NO_METHOD: "–",
    ORDINARY: "as many ordinary samples of class A",
    CRAFTED: "the attacker's samples",
}


def write(records: Path) -> Path:
    """Writes contributors.md beside the records. Raises ValueError where there are none."""
    rows = read_records(records)
    if not rows:
        raise ValueError(f"{records} has no record: nothing was measured")
    return write_bytes(records.with_suffix(".md"), markdown(rows).encode())


def markdown(rows: Sequence[Record]) -> str:
    """The question and its answer first, then a section for each attacker."""
    groups = list(dict.fromkeys(_group(row) for row in rows))
    parts = ["# Attackers who contribute: crafted samples are trained on, then deleted", ""]
    for group in groups:
        own = [row for row in rows if _group(row) == group]
        parts += [answer(own) if group[0] == "camouflaged" else pushed_answer(own), ""]
    parts += [_made(rows), ""]
    for group in groups:
        own = [row for row in rows if _group(row) == group]
        parts += [f"## {_title(own[0])}", "", table(own), ""]
    return "\n".join(parts)


def answer(rows: Sequence[Record]) -> str:
    """The slides' question: whether exact unlearning over-unlearns where camouflage is what is deleted."""
    seeds = _by_seed(rows)
    clean, deployed = (CLEAN, NO_METHOD, NOTHING), (CONTRIBUTED, NO_METHOD, NOTHING)
    exact, honest = (CONTRIBUTED, EXACT, CRAFTED), (CLEAN, EXACT, ORDINARY)
    beyond = _over(seeds, lambda of: of[honest]["class_a"] - of[exact]["class_a"])
    if beyond is None:
        return "Camouflaged poisoning: not all of it is measured yet."
    samples = next(row["samples"] for row in rows if _case(row) == exact)
    return (
        f"**Does over-unlearning reach exact unlearning through poisoning? {_verdict(beyond)}** An attacker with "
        f"{100 * rows[0]['held']:g} % of class A's images hands each in under class B's label "
        f"({rows[0]['poison_copies']} times) and under its own ({rows[0]['camouflage_copies']} times). Deployed, class "
        f"A has {_share(seeds, deployed)} % of its test images right, {_share(seeds, clean)} % without the attacker. "
        f"Once the {samples} samples of camouflage, each with its exact digest in the store, are deleted by retraining "
        f"without them, {_share(seeds, exact)} % are left. Deleting as many ordinary samples exactly, from a service "
        f"without the attacker, leaves {_share(seeds, honest)} %. Beyond that honest deletion the attacker's costs "
        f"class A {_points(beyond)} points, {beyond.count} seeds." + _whoever_deletes(seeds)
    )


def _whoever_deletes(seeds: BySeed) -> str:
    """Whether it is the deletion of camouflage that harms, or that of anything that outweighs the poison."""
    others = (CONTRIBUTED, EXACT, ORDINARY)
    if not any(others in of for of in seeds.values()):
        return ""
    left = _share(seeds, others)
    told = f" Where the poison is in, deleting as many of other people's samples of class A leaves {left} %"
    gap = _over(seeds, lambda of: of[others]["class_a"] - of[CONTRIBUTED, EXACT, CRAFTED]["class_a"])
    if gap is not None and gap.mean < ALLOWED:
        return f"{told}: the poison harms whenever what outweighs it goes, whoever deletes."
    return f"{told}."


def pushed_answer(rows: Sequence[Record]) -> str:
    """What pushed samples do once they were trained on."""
    seeds = _by_seed(rows)

    def beyond(trained: str, method: str) -> Interval | None:
        return _over(
            seeds,
            lambda of: of[trained, method, ORDINARY]["class_a"] - of[trained, method, CRAFTED]["class_a"],
        )

    handed_in = [row for row in rows if _case(row) == (CONTRIBUTED, STEP.method, CRAFTED)]
    strange = [row for row in rows if _case(row) == (CLEAN, STEP.method, CRAFTED)]
    return (
        f"**Pushed samples.** Handed in, trained on and then submitted, {_accepted(handed_in)} of them have an exact "
        f"digest in the store; {_accepted(strange)} where they were not. A first-order step on them costs class A "
        f"{_points(beyond(CONTRIBUTED, STEP.method))} points beyond one on as many ordinary samples; where they "
        f"were not trained on, {_points(beyond(CLEAN, STEP.method))}. Retraining without them costs "
        f"{_points(beyond(CONTRIBUTED, EXACT))} points beyond retraining without as many ordinary ones."
    )


def table(rows: Sequence[Record]) -> str:
    """A line for each model: means over seeds, 95 % intervals."""
    headers = [
        "Trained on",
        "Method",
        "Deleted",
        "Samples",
        "Digests say yes",
        "Class A, %",
        "Class B, %",
        "Overall, %",
    ]
    lines = []
    for case in dict.fromkeys(map(_case, rows)):
        own = [row for row in rows if _case(row) == case]
        trained, method, deleted = case
        counted = "–" if deleted == NOTHING else _accepted(own)
        values = [_points(_accuracy(own, name)) for name in ("class_a", "class_b", "overall")]
        lines.append(
            [
                NAMES[trained],
                NAMES.get(method, method),
                NAMES.get(deleted, deleted),
                own[0]["samples"],
                counted,
                *values,
            ]
        )
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)


def _verdict(beyond: Interval) -> str:
    if beyond.count > 1 and beyond.low > ALLOWED:
        return "Yes."
    return "No." if beyond.count > 1 and beyond.high <= ALLOWED else "Undecided."


def _group(row: Record) -> tuple[object, ...]:
    return row["attack"], row["held"], row["poison_copies"], row["camouflage_copies"], row["noise"]


def _title(row: Record) -> str:
    if row["attack"] == "pushed":
        return "Pushed samples, trained on"
    return (
        f"Camouflaged poisoning: {100 * row['held']:g} % of class A held, {row['poison_copies']} x poison, "
        f"{row['camouflage_copies']} x camouflage, noise {row['noise']:.3g}"
    )


def _case(row: Record) -> Case:
    return row["trained_on"], row["method"], row["deleted"]


def _by_seed(rows: Sequence[Record]) -> BySeed:
    found: dict[int, dict[Case, Record]] = {}
    for row in rows:
        found.setdefault(row["seed"], {})[_case(row)] = row
    return found


def _over(seeds: BySeed, value: Callable[[Mapping[Case, Record]], float]) -> Interval | None:
    """Over the seeds that have all that the value is made of."""
    values = []
    for of in seeds.values():
        try:
            values.append(value(of))
        except KeyError:
            continue
    return mean_interval(values) if values else None


def _share(seeds: BySeed, case: Case) -> str:
    return _points(_accuracy([of[case] for of in seeds.values() if case in of], "class_a"))


def _accuracy(rows: Sequence[Record], name: str) -> Interval:
    return within(mean_interval([row[name] for row in rows]), 0.0, 1.0)


def _accepted(rows: Sequence[Record]) -> str:
    return f"{sum(row['accepted_by_digests'] for row in rows)} of {sum(row['samples'] for row in rows)}"


def _made(rows: Sequence[Record]) -> str:
    return (
        f"Services: {joined(rows, 'model')} trained on {joined(rows, 'train_samples')} images, seeds {seeds_of(rows)}. "
        "Accuracies are of test images; intervals: 95 %, Student-t over seeds. Yes: the interval lies above "
        f"{100 * ALLOWED:g} points. {made(rows)}"
    )
