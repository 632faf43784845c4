"""From records to what pages and figures show: the harm behind each defence, and the price of each gate."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from experiments.defences.attackers import KNOW_NOTHING, PARTED
from experiments.defences.false_alarms import BESIDE
from experiments.defences.gates import SHOWN
from experiments.defences.people import AS_TRAINED, WRONG
from experiments.run.records import Record
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.statistics.intervals import Interval, mean_interval


class Harm(NamedTuple):
    """One defence of one method. Fractions of class A's test accuracy beyond the undefended honest request."""

    defence: str
    refuse: float | None  # share of honest samples that its gate may refuse
    honest: Interval | None  # what the honest request costs more or less than undefended
    static: Interval | None  # of the attacker who does most without knowing the defence
    best: Interval | None  # of the attacker who does most of all
    best_name: str
    through: Interval | None  # of that attacker's samples, the fraction that was forgotten

    @property
    def shown(self) -> bool:
        """Whether sentences speak of it."""
        return self.refuse in (None, SHOWN)


class Price(NamedTuple):
    """What a gate refuses of honest samples, and lets through of attackers'. Fractions of samples."""

    gate: str
    refuse: float | None
    by_way: Mapping[str, Interval]  # refused, by how honest samples arrive
    stored: Interval  # the mean over the ways to store an image anew
    worst: Interval  # the way that is refused most
    worst_way: str
    refused: Interval  # the mean over the ways in which samples arrive, as they were trained on among them
    passes: Mapping[str, Interval]  # by attacker
    auc: Mapping[str, Interval]
    seconds: float  # a sample, the mean over victims


def harms(rows: Sequence[Record], method: str) -> list[Harm]:
    """A line for each defence of the method, in the order of the records; attackers of all its victims compete."""
    own = [row for row in rows if row["method"] == method and BESIDE not in row["request"]]
    honest = {row["seed"]: row["class_a"] for row in own if (row["defence"], row["request"]) == ("none", HONEST)}
    found = []
    for defence, refuse in dict.fromkeys((row["defence"], row["refuse"]) for row in own):
        behind = [row for row in own if (row["defence"], row["refuse"]) == (defence, refuse)]
        seeds = {row["seed"] for row in behind}
        by_name: dict[str, list[Record]] = {}
        for row in behind:
            if honest.get(row["seed"]) is not None:
                by_name.setdefault(row["request"], []).append(row)
        beyond = {name: _beyond(of_name, honest) for name, of_name in by_name.items()}
        attacks = {
            name: each
            for name, each in beyond.items()
            if each is not None and not name.startswith(HONEST) and each.count == len(seeds)  # of every victim
        }
        static = {name: each for name, each in attacks.items() if name in KNOW_NOTHING}
        best = max(attacks, key=lambda name: attacks[name].mean, default="")
        found.append(
            Harm(
                defence,
                refuse,
                beyond.get(HONEST),
                max(static.values(), key=lambda each: each.mean, default=None),
                attacks.get(best),
                best,
                mean_interval([row["through"] / row["samples"] for row in by_name[best]]) if best else None,
            )
        )
    return found


def harms_by_method(rows: Sequence[Record], methods: Sequence[str]) -> dict[str, dict[str, Harm]]:
    """Those that are shown, by method and defence, of attackers who ask at once."""
    at_once = [row for row in rows if PARTED not in row["request"]]
    return {method: {each.defence: each for each in harms(at_once, method) if each.shown} for method in methods}


def not_met(rows: Sequence[Record], methods: Sequence[str]) -> dict[str, list[str]]:
    """Attackers who ask at once and whom some methods did not meet, with those methods."""
    met = {method: dict.fromkeys(row["request"] for row in rows if row["method"] == method) for method in methods}
    names = dict.fromkeys(name for of_method in met.values() for name in of_method)
    lacking = {
        name: [method for method in methods if name not in met[method]]
        for name in names
        if PARTED not in name and BESIDE not in name
    }
    return {name: own for name, own in lacking.items() if own}


def honest_cost(rows: Sequence[Record], method: str) -> Interval | None:
    """What the undefended honest request costs class A, a fraction of its test accuracy."""
    own = [row for row in rows if (row["method"], row["defence"], row["request"]) == (method, "none", HONEST)]
    costs = [row["class_a_before"] - (row["class_a"] or 0.0) for row in own]
    return mean_interval(costs) if costs else None


def prices(at_gates: Sequence[Record]) -> list[Price]:
    """A line for each gate and threshold, in the order of the records."""
    found = []
    for gate, refuse in dict.fromkeys((row["gate"], row["refuse"]) for row in at_gates):
        own = [row for row in at_gates if (row["gate"], row["refuse"]) == (gate, refuse)]
        refused: dict[str, dict[int, float]] = {}
        passes: dict[str, list[float]] = {}
        auc: dict[str, list[float]] = {}
        for row in own:
            share = row["accepted"] / row["samples"]
            if row["who"] == "honest":
                refused.setdefault(row["name"], {})[row["seed"]] = 1 - share
            else:
                passes.setdefault(row["name"], []).append(share)
                auc.setdefault(row["name"], []).append(row["auc"])
        ways = [name for name in refused if name not in (AS_TRAINED, WRONG)]
        by_way = {name: mean_interval(list(each.values())) for name, each in refused.items()}
        worst = max(ways, key=lambda name: by_way[name].mean)
        found.append(
            Price(
                gate,
                refuse,
                by_way,
                _mean_over(refused, ways),
                by_way[worst],
                worst,
                _mean_over(refused, [AS_TRAINED, *ways]),
                {name: mean_interval(each) for name, each in passes.items()},
                {name: mean_interval(each) for name, each in auc.items()},
                sum(row["seconds_a_sample"] for row in own) / len(own),
            )
        )
    return found


def _beyond(rows: Sequence[Record], honest: Mapping[int, float]) -> Interval | None:
    """A model that is not left has lost everything."""
    values = [honest[row["seed"]] - (row["class_a"] or 0.0) for row in rows]
    return mean_interval(values) if values else None


def _mean_over(refused: Mapping[str, Mapping[int, float]], names: Sequence[str]) -> Interval:
    """Of the mean over some ways, by victim."""
    seeds = {seed for name in names for seed in refused[name]}
    return mean_interval(
        [
            sum(refused[name][seed] for name in names if seed in refused[name])
            / sum(seed in refused[name] for name in names)
            for seed in sorted(seeds)
        ]
    )
