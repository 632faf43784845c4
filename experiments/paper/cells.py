"""Our number for a cell of the paper's tables, from the rows of its study, with an interval over seeds."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.paper.layout import READING, Entry, TableLayout, paper_effects
from experiments.paper.studies import STUDIES
from overunlearn_jax.statistics.intervals import Interval, mean_interval

# An honest request of 10 % cost the paper's airplane 87.8 - 81.7 points. Our unlearning rate is the largest whose
# honest request costs class A no more: chosen on honest requests, so that it favours no attack.
HONEST_COST = 0.061
STEALTH = ("ssim_mean", "lpips_mean", "l2_mean", "same_side_in_8_bits")

Row = Mapping[str, Any]
Results = Mapping[str, Sequence[Row]]  # rows by study


class Cell(NamedTuple):
    """What stands in one place of a table. Percent, points, or test images."""

    ours: Interval | None  # None: not measured
    paper: float | None
    effect: Interval | None  # how much less than after the honest request, paired over seeds; None for honest cells
    paper_effect: float | None
    stands: bool = False  # whether the effect still excludes 0 when all of the page's are judged together
    follows: bool = False  # an image that class A loses is predicted as something else: no finding of its own

    @property
    def verdict(self) -> str:
        """Whether our effect has the paper's sign, where it prints one, and whether its interval excludes zero."""
        if self.effect is None:
            return ""
        certainty = "one seed" if self.effect.count < 2 else "excludes 0" if self.excludes_zero else "includes 0"
        certainty += ", stands" if self.stands else ""
        if self.follows:
            return "follows"
        if self.paper_effect is None:
            return certainty
        if self.paper_effect == 0:
            return f"none in the paper, {certainty}"
        if self.effect.mean == 0:
            return f"{'none here' if self.effect.low == self.effect.high else 'equal means'}, {certainty}"
        return f"{'same' if self.same_sign else 'other'} sign, {certainty}"

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval of our effect lies on one side of 0."""
        return self.effect is not None and self.effect.count > 1 and self.effect.low * self.effect.high > 0

    @property
    def same_sign(self) -> bool:
        """Whether both have an effect, of one sign."""
        return self.effect is not None and self.paper_effect is not None and self.effect.mean * self.paper_effect > 0


def tau_study(study: str) -> str:
    """The study whose honest 10 % requests choose this one's unlearning rate: its own, or the same victim's."""
    settings = STUDIES[study]
    return study if 0.1 in settings["fractions"] else settings["dataset"]


def honest_costs(results: Results, study: str, fidelity: str = READING) -> dict[float, float]:
    """What an honest 10 % request costs class A, a fraction, in the mean over seeds, by unlearning rate."""
    costs: dict[float, list[float]] = {}
    for row in results.get(study, ()):
        if (row["attack"], row["fraction"], row["fidelity"]) == ("normal", 0.1, fidelity) and row["tau"] is not None:
            left = row["class_a"] or 0.0  # null where unlearning diverged: nothing is left
            costs.setdefault(row["tau"], []).append(row["class_a_before"] - left)
    return {tau: sum(cost) / len(cost) for tau, cost in sorted(costs.items())}


def chosen_tau(results: Results, study: str, fidelity: str = READING) -> float | None:
    """The largest rate whose honest 10 % request costs class A at most `HONEST_COST` in the mean over seeds.

    Each reading of the first-order step has its own. The smallest rate where every one costs more; None for a method
    without rates, or where the rows are not at hand.
    """
    if STUDIES[study].get("unlearning") == "fine_tuning":
        return None
    costs = honest_costs(results, tau_study(study), fidelity)
    return max((tau for tau, cost in costs.items() if cost <= HONEST_COST), default=min(costs, default=None))


def cell(results: Results, entry: Entry, *, tau: float | None = None) -> Cell:
    """What stands at `entry`; `tau` is the chosen one where none is given."""
    if entry.study not in results:
        return Cell(None, entry.paper, None, None)
    tau = chosen_tau(results, entry.study, entry.fidelity) if tau is None else tau
    if tau is None and STUDIES[entry.study].get("unlearning") != "fine_tuning":
        return Cell(None, entry.paper, None, None)  # the rows that choose the rate are not at hand
    attack = _by_seed(results, entry, "normal" if entry.attack == "before" else entry.attack, tau)
    measure = entry.measure.removesuffix("_drop")
    measured = {seed: _measure(row, measure, entry) for seed, row in attack.items()}
    ours = {seed: value for seed, value in measured.items() if value is not None}
    if not ours:
        return Cell(None, entry.paper, None, None)
    if entry.attack in ("before", "normal") or measure in STEALTH:
        return Cell(mean_interval(list(ours.values())), entry.paper, None, None)
    drops = drop_by_seed(results, entry, tau)
    drop = mean_interval([*drops.values()]) if drops else None
    if entry.measure.endswith("_drop"):
        return Cell(drop, entry.paper, drop, entry.paper)
    return Cell(mean_interval(list(ours.values())), entry.paper, drop, None)


def drop_by_seed(results: Results, entry: Entry, tau: float | None) -> dict[int, float]:
    """How much less is left than after the honest request of the same victim, by seed. Percent, points, or images."""
    measure = entry.measure.removesuffix("_drop")
    honest, attack = (_by_seed(results, entry, each, tau) for each in ("normal", entry.attack))
    pairs = {seed: (_measure(honest[seed], measure, entry), _measure(attack[seed], measure, entry))
             for seed in honest.keys() & attack.keys()}  # fmt: skip
    return {seed: one - other for seed, (one, other) in sorted(pairs.items()) if one is not None and other is not None}


def cells_of(results: Results, layout: TableLayout, standing: Collection[Entry] = ()) -> list[list[Cell]]:
    """What stands in every place of a table, line by line; the paper's effects are taken from its honest cells.

    `standing` are the places whose effect stands among all of the page's.
    """
    effects = paper_effects(layout)

    def with_effect(entry: Entry) -> Cell:
        return cell(results, entry)._replace(
            paper_effect=effects.get(entry), stands=place_of(entry) in standing, follows=follows(entry)
        )

    return [[with_effect(entry) for entry in line.entries] for line in layout.lines]


def place_of(entry: Entry) -> Entry:
    """What tells a measured effect from others: tables that show the same one hold it once.

    The test images of class A that are predicted as it are its accuracy.
    """
    measure, label = entry.measure.removesuffix("_drop"), entry.label
    if measure == "predicted" and label == STUDIES[entry.study]["class_a"]:
        measure, label = "class_a", ""
    return entry._replace(measure=measure, label=label, paper=None)


def follows(entry: Entry) -> bool:
    """Whether a number only says where the images went that class A lost: labels that a push did not aim at."""
    counted = entry.measure in ("predicted", "predicted_right")
    return counted and entry.label not in (STUDIES[entry.study]["class_a"], STUDIES[entry.study].get("target"))


def summary(cells: Sequence[Cell]) -> str:
    """In a line: in how many places our effect has the paper's sign, and is sure; empty where nothing is compared."""
    compared = [each for each in cells if each.effect is not None and each.paper_effect and not each.follows]
    if not compared:
        return ""
    same = [each for each in compared if each.same_sign]
    words = f"the paper's sign in {len(same)} of {len(compared)} places, without 0 in the interval in "
    words += str(sum(each.excludes_zero for each in same))
    words += f", standing in {sum(each.stands for each in same)}"
    against = sum(each.excludes_zero and not each.same_sign for each in compared)
    return words + (f"; the other sign without 0 in {against}" if against else "")


def _by_seed(results: Results, entry: Entry, attack: str, tau: float | None) -> dict[int, Row]:
    wanted = {"attack": attack, "fraction": entry.fraction, "tau": tau}
    if tau is not None:
        wanted["fidelity"] = entry.fidelity
    rows = results[entry.study]
    return {row["seed"]: row for row in rows if all(row[key] == value for key, value in wanted.items())}


def _measure(row: Row, measure: str, entry: Entry) -> float | None:
    """None where the row does not have it."""
    before = entry.attack == "before"
    if measure == "predicted_right" and before:
        counts = row.get("class_a_right_predicted")
        return None if counts is None else float(sum(counts) if entry.label == row["class_a_name"] else 0)
    if measure in ("predicted", "predicted_right"):
        counts = row.get("class_a_predicted" if measure == "predicted" else "class_a_right_predicted")
        return None if counts is None else float(counts[row["class_names"].index(entry.label)])
    if measure in STEALTH:
        return row.get(measure)
    key = "overall_train_before" if measure == "overall_train" else f"{measure}_before" if before else measure
    return None if row.get(key) is None else 100 * float(row[key])
