"""Our number for a cell of the paper's tables, from the rows of its study, with an interval over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments.paper.studies import STUDIES
from experiments.paper.tables import Entry
from overunlearn_jax.intervals import Interval, mean_interval, paired_difference

# An honest request of 10 % cost the paper's airplane 87.8 - 81.7 points. Our unlearning rate is the largest whose
# honest request costs class A no more: chosen on honest requests, so that it favours no attack.
HONEST_COST = 0.061
READING = "corrected"

Row = Mapping[str, Any]
Results = Mapping[str, Sequence[Row]]  # rows by study


class Cell(NamedTuple):
    """What stands in one place of a table. Percent, points, or test images."""

    ours: Interval | None  # None: not measured
    paper: float | None
    effect: Interval | None  # how much less than after the honest request, paired over seeds; None for honest cells
    paper_effect: float | None

    @property
    def verdict(self) -> str:
        """Whether our effect has the paper's sign, and whether its interval excludes zero."""
        if self.effect is None or self.paper_effect is None:
            return ""
        if self.effect.mean == 0 or self.paper_effect == 0:
            return "no effect" + (" there" if self.effect.mean else " here" if self.paper_effect else "")
        same = "same sign" if (self.effect.mean > 0) == (self.paper_effect > 0) else "other sign"
        if self.effect.count < 2:
            return f"{same}, one seed"
        return f"{same}, {'excludes' if self.effect.low * self.effect.high > 0 else 'includes'} 0"


def tau_study(study: str) -> str:
    """The study whose honest 10 % requests choose this one's unlearning rate: its own, or the same victim's."""
    settings = STUDIES[study]
    return study if 0.1 in settings["fractions"] and not study.endswith("_readings") else settings["dataset"]


def chosen_tau(results: Results, study: str) -> float | None:
    """The largest rate whose honest 10 % request costs class A at most `HONEST_COST` in the mean over seeds.

    The smallest rate where every one costs more; None for a method without rates. Raises KeyError for missing rows.
    """
    costs: dict[float, list[float]] = {}
    for row in results[tau_study(study)]:
        if row["tau"] is None:
            return None
        if row["attack"] == "normal" and row["fraction"] == 0.1 and row["fidelity"] == READING:
            costs.setdefault(row["tau"], []).append(row["class_a_before"] - row["class_a"])
    cheap = [tau for tau, cost in costs.items() if sum(cost) / len(cost) <= HONEST_COST]
    return max(cheap) if cheap else min(costs)


def cell(results: Results, entry: Entry, *, fidelity: str = READING, tau: float | None = None) -> Cell:
    """What stands at `entry`; `tau` is the chosen one where none is given."""
    if entry.study not in results:
        return Cell(None, entry.paper, None, None)
    tau = chosen_tau(results, entry.study) if tau is None else tau
    honest = _by_seed(results, entry, "normal", fidelity, tau)
    attack = honest if entry.attack == "before" else _by_seed(results, entry, entry.attack, fidelity, tau)
    measure = entry.measure.removesuffix("_drop")
    ours = {seed: _measure(row, measure, entry) for seed, row in attack.items()}
    if not ours:
        return Cell(None, entry.paper, None, None)
    if entry.attack in ("before", "normal"):
        return Cell(mean_interval(list(ours.values())), entry.paper, None, None)
    shared = [seed for seed in ours if seed in honest]
    honestly = [_measure(honest[seed], measure, entry) for seed in shared]
    drop = paired_difference(honestly, [ours[seed] for seed in shared]) if shared else None
    if entry.measure.endswith("_drop"):
        return Cell(drop, entry.paper, drop, entry.paper)
    return Cell(mean_interval(list(ours.values())), entry.paper, drop, None)


def _by_seed(results: Results, entry: Entry, attack: str, fidelity: str, tau: float | None) -> dict[int, Row]:
    wanted = {"attack": attack, "fraction": entry.fraction, "tau": tau}
    if tau is not None:
        wanted["fidelity"] = fidelity
    rows = results[entry.study]
    return {row["seed"]: row for row in rows if all(row[key] == value for key, value in wanted.items())}


def _measure(row: Row, measure: str, entry: Entry) -> float:
    before = entry.attack == "before"
    if measure == "predicted":
        counts = row["class_a_right_predicted"]
        place = row["class_names"].index(entry.label)
        if before:
            return float(sum(counts) if entry.label == row["class_a_name"] else 0)
        return float(counts[place])
    if measure == "ssim_mean":
        return float(row[measure])
    if measure == "overall_train":
        return 100 * float(row["overall_train_before"])
    return 100 * float(row[f"{measure}_before" if before else measure])
