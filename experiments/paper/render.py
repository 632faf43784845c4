"""The paper's tables in its own layout: for each of its lines ours, theirs, the difference, a verdict."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from tabulate import tabulate

from experiments.paper.cells import HONEST_COST, Cell, Results, cells_of, chosen_tau, honest_costs, summary, tau_study
from experiments.paper.layout import Entry, TableLayout, entries_of
from overunlearn_jax.statistics.intervals import Interval

FORMATS = {"md": "github", "tex": "latex_booktabs", "html": "html"}
PLACES = {"ssim_mean": 4, "lpips_mean": 4, "l2_mean": 2, "same_side_in_8_bits": 3}  # digits after the point
NOT_MEASURED = "–"
EXPLAINED = (
    "Ours: mean over seeds [95 % Student-t interval]. The verdict compares, for a malicious request, how much less is "
    "left than after the honest one: whether the sign is the paper's, where it prints one, and whether our interval, "
    "over pairs of the same seed, excludes 0. Three seeds make wide intervals, which may pass the end of "
    "what a measure can be."
)


class Rendered(NamedTuple):
    """A table as text cells, with what has to be said about it."""

    name: str
    title: str
    labels: int  # how many columns come before the numbers
    headers: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: list[str]
    summary: str  # in a line; empty: nothing of it is both measured and printed by the paper

    def as_text(self, suffix: str) -> str:
        """The table alone, as Markdown (md), LaTeX (tex) or HTML (html)."""
        align = ["left"] * self.labels + ["right"] * (len(self.headers) - self.labels)
        text = tabulate(self.rows, self.headers, FORMATS[suffix], disable_numparse=True, colalign=align)
        return text.replace("−", "$-$").replace("–", "--") if suffix == "tex" else text


def render(results: Results, layout: TableLayout, standing: Collection[Entry] = ()) -> Rendered:
    """Our numbers at every place of a table; `standing` are those whose effect stands among all of the page's."""
    rows: list[tuple[str, ...]] = []
    found = cells_of(results, layout, standing)
    for line, cells in zip(layout.lines, found, strict=True):
        empty = ("",) * len(line.labels)
        places = [PLACES.get(entry.measure, 1) for entry in line.entries]
        rows.append((*line.labels, "ours", *map(_ours, cells, places)))
        if any(each.paper is not None for each in cells):
            rows.append((*empty, "paper", *map(_paper, cells, places)))
            rows.append((*empty, "difference", *map(_difference, cells, places)))
        if any(each.verdict for each in cells):
            rows.append((*empty, "verdict", *(each.verdict for each in cells)))
    runs = dict.fromkeys((entry.study, entry.fidelity) for entry in entries_of(layout))
    labels = len(layout.lines[0].labels)
    headers = (*layout.headers[:labels], "Whose", *layout.headers[labels:])
    about = [each for each in (layout.note, *notes(results, list(runs))) if each]
    in_short = summary([each for cells in found for each in cells])
    if not all(study in results for study, _ in runs):
        in_short = "; ".join(filter(None, [in_short, "not all of it is measured yet"]))
    return Rendered(layout.name, layout.title, labels + 1, headers, rows, about, in_short)


def notes(results: Results, runs: Sequence[tuple[str, str]]) -> list[str]:
    """What a reader has to know of the runs behind a table or figure: networks, seeds, rates, samples that failed.

    `runs` are studies, each with a reading of the first-order step.
    """
    studies = list(dict.fromkeys(study for study, _ in runs))
    measured = [study for study in studies if study in results]
    if not measured:
        return ["Not measured yet."]
    rows = [row for study in measured for row in results[study]]
    models = dict.fromkeys(f"{row['model']} on {row['dataset']}" for row in rows)
    seeds = sorted({row["seed"] for row in rows})
    copies = dict.fromkeys(f"{row['dataset']}: {row['dataset_note']}" for row in rows if row.get("dataset_note"))
    lines = [f"{', '.join(models)}; seeds {', '.join(map(str, seeds))}.", *copies]
    for fidelity in dict.fromkeys(fidelity for _, fidelity in runs):
        rates: dict[str, list[str]] = {}
        for study in (study for study, reading in runs if reading == fidelity and study in results):
            rates.setdefault(_rate(results, study, fidelity), []).append(study)
        rates.pop("", None)  # of methods that have none
        if rates:
            listed = "; ".join(f"{', '.join(names)} {rate}" for rate, names in rates.items())
            lines.append(f"First order as `{fidelity}`; tau: {listed}.")
    missing = [study for study in studies if study not in results]
    if missing:
        lines.append(f"Not measured yet: {', '.join(missing)}.")
    failed = {study: sum(r["failed"] for r in results[study] if r["attack"] == "pushing_1") for study in measured}
    tried = {study: sum(r["requested"] for r in results[study] if r["attack"] == "pushing_1") for study in measured}
    shares = ", ".join(f"{s} {100 * failed[s] / tried[s]:.1f} %" for s in measured if tried[s] and failed[s])
    if shares:
        lines.append(f"Samples that did not cross, left out of all requests of their run: {shares}.")
    return lines


def _rate(results: Results, study: str, fidelity: str) -> str:
    """A study's rate, what an honest request costs at it, and whether the grid had a rate that fits the rule."""
    rate = chosen_tau(results, study, fidelity)
    if rate is None:
        return ""
    costs = honest_costs(results, tau_study(study), fidelity)
    words = f"{rate:g} (an honest 10 % request costs class A {100 * costs[rate]:.1f} points"
    if rate == max(costs):
        words += ", the largest rate tried"
    if costs[rate] > HONEST_COST:
        words += ", no rate tried costs less"
    return words + ")"


def number(value: float, places: int) -> str:
    """With a minus sign where it has one."""
    return f"{value:.{places}f}".replace("-", "−")


def shown(found: Interval, places: int) -> str:
    """A mean and its interval, where there is one."""
    mean = number(found.mean, places)
    if found.count < 2 or found.low == found.high:
        return mean
    return f"{mean} [{number(found.low, places)}, {number(found.high, places)}]"


def _ours(found: Cell, places: int) -> str:
    return NOT_MEASURED if found.ours is None else shown(found.ours, places)


def _paper(found: Cell, places: int) -> str:
    return "" if found.paper is None else number(found.paper, places)


def _difference(found: Cell, places: int) -> str:
    if found.ours is None or found.paper is None:
        return ""
    difference = found.ours.mean - found.paper
    return ("+" if difference > 0 else "") + number(difference, places)
