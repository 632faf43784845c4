"""Which strength of a method stands in the tables, and its numbers over seeds."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.methods.grid import Run, runs_of
from experiments.paper.cells import HONEST_COST
from overunlearn_jax.reporting.wording import NOTHING
from overunlearn_jax.statistics.intervals import Interval, mean_interval, paired_difference

Row = Mapping[str, Any]
Results = Mapping[str, Sequence[Row]]  # rows by the run's folder


def victim_of(row: Row) -> Hashable:
    """What tells a victim from others: its name, and how well it predicts.

    The name stands for settings and data. Trained again on another machine these give other weights.
    """
    return row["victim"], row["overall_before"], row["overall_train_before"]


class Chosen(NamedTuple):
    """A method at one strength, such as the one that the rule picks."""

    run: Run
    tau: float | None
    rows: list[Row]
    fits: bool  # whether an honest request costs no more than the rule allows

    def of(self, attack: str) -> dict[int, Row]:
        """The rows of one request, by seed."""
        return {row["seed"]: row for row in self.rows if row["attack"] == attack}

    def values(self, attack: str, name: str) -> Interval | None:
        """A number of the rows over seeds; None where it was not measured."""
        found = [row[name] for row in self.of(attack).values() if row.get(name) is not None]
        return mean_interval(found) if found else None

    def work(self) -> Interval | None:
        """Gradients of one sample that an honest request takes, over the seeds where it did not find the work done."""
        found = [work for row in self.of("normal").values() if (work := row.get("gradient_evaluations"))]
        return mean_interval(found) if found else None

    def seconds(self) -> Interval | None:
        """Of unlearning, over seeds: the fastest of the requests that did the honest one's work.

        The first request of a size waits for JAX to compile; one that found the work done, such as a retraining without
        the same samples, did none. A seed whose honest request did none is left out.
        """
        found = []
        for seed, honest in self.of("normal").items():
            work = honest.get("gradient_evaluations")
            if not work:
                continue
            same = [row for row in self.rows if row["seed"] == seed and row.get("gradient_evaluations") == work]
            found.append(min(row["seconds_unlearn"] for row in same))
        return mean_interval(found) if found else None

    def beyond_retrained(self, attack: str, name: str, which: str = "") -> Interval | None:
        """How much higher `name` is than the retrained model's, paired over seeds; None where it was not measured.

        `which` is "_before" for the victim's own in place of the unlearned model's.
        """
        names = (f"{name}{which}", f"{name}_retrained")
        known = [row for row in self.of(attack).values() if all(row.get(each) is not None for each in names)]
        first, second = ([row[each] for row in known] for each in names)
        return paired_difference(first, second) if known else None

    def harm(self, attack: str, name: str) -> Interval | None:
        """How much lower `name` is after this request than after the honest one, paired over seeds."""
        honest, malicious = self.of("normal"), self.of(attack)
        shared = [
            s for s in sorted(honest.keys() & malicious.keys()) if None not in (honest[s][name], malicious[s][name])
        ]
        if not shared:
            return None
        return paired_difference([honest[s][name] for s in shared], [malicious[s][name] for s in shared])

    def honest_cost(self) -> Interval | None:
        """What an honest request takes from class A, paired over seeds; None where it diverged in each."""
        known = [row for row in self.of("normal").values() if row["class_a"] is not None]
        before, after = ([row[name] for row in known] for name in ("class_a_before", "class_a"))
        return paired_difference(before, after) if known else None

    def diverged(self, attack: str) -> list[int]:
        """The seeds in which this request left no model."""
        return sorted(seed for seed, row in self.of(attack).items() if row["class_a"] is None)

    @property
    def setting(self) -> str:
        """What was picked, in words; "–" for a method that has no strengths."""
        return f"tau={self.tau:g}" if self.tau is not None else self.run.settings or NOTHING


def tried(results: Results, method: str) -> list[Chosen]:
    """Every strength that has rows, from weak to strong."""
    found = []
    for run in runs_of(method):
        rows = results.get(run.folder, ())
        for tau in dict.fromkeys(row["tau"] for row in rows):
            own = [row for row in rows if row["tau"] == tau]
            found.append(Chosen(run, tau, own, _is_cheap([row for row in own if row["attack"] == "normal"])))
    return found


def choose(results: Results, method: str) -> Chosen | None:
    """The strongest setting whose honest request costs class A at most what the paper's cost, in the mean over seeds.

    The weakest where each costs more; None where nothing has run. A strength whose run is not finished is left out
    beside others. Chosen on honest requests alone, it favours no attack over another; the seeds and test images are
    those of the harm.
    """
    found = tried(results, method)
    finished = max((len(each.rows) for each in found), default=0)
    found = [each for each in found if len(each.rows) == finished]
    fitting = [each for each in found if each.fits]
    return fitting[-1] if fitting else found[0] if found else None


class Group(NamedTuple):
    """Methods that unlearn the same victims."""

    methods: list[str]
    most_seeds: Chosen  # one of them, to read from its rows what they say of the victims and retrained models


def groups(chosen: Mapping[str, Chosen]) -> list[Group]:
    """The methods by the victims that they unlearn; the pages number these from 1.

    SISA's are trained by shards, and have retrained models of their own. So have those that were trained again on
    another machine.
    """
    found: list[list[str]] = []
    for method, each in chosen.items():
        own = next((names for names in found if share_a_victim(chosen[names[0]], each)), None)
        if own is None:
            found.append([method])
        else:
            own.append(method)
    return [Group(names, max((chosen[name] for name in names), key=_seeds)) for names in found]


def share_a_victim(first: Chosen, second: Chosen) -> bool:
    """Whether both unlearn the same network in some seed."""
    rows, others = first.of("normal"), second.of("normal")
    return any(victim_of(rows[seed]) == victim_of(others[seed]) for seed in rows.keys() & others.keys())


def _seeds(each: Chosen) -> int:
    return len(each.of("normal"))


def _is_cheap(honest: Sequence[Row]) -> bool:
    """Whether honest requests cost class A no more than the rule allows; one that diverged cost all there is."""
    costs = [row["class_a_before"] - (row["class_a"] or 0.0) for row in honest]
    return sum(costs) / len(costs) <= HONEST_COST
