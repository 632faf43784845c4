"""The paper's tables in its own layout: for each of its lines ours, theirs, the difference, a verdict."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from tabulate import tabulate

from experiments.paper.cells import HONEST_COST, Cell, Results, cells_of, chosen_tau, honest_costs, tau_study
from experiments.paper.layout import READING, TableLayout, entries_of

FORMATS = {"md": "github", "tex": "latex_booktabs", "html": "html"}
PLACES = {"ssim_mean": 4, "lpips_mean": 4, "l2_mean": 2, "same_side_in_8_bits": 3}  # digits after the point
NOT_MEASURED = "–"
EXPLAINED = (
    "Ours: mean over seeds [95 % Student-t interval]. The verdict compares, for a malicious request, how much less is "
    "left than after the honest one: whether the sign is the paper's, where it prints one, and whether our interval, "
    "over pairs of the same seed, excludes 0."
)


class Rendered(NamedTuple):
    """A table as text cells, with what has to be said about it."""

    name: str
    title: str
    labels: int  # how many columns come before the numbers
    headers: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: list[str]

    def as_text(self, suffix: str) -> str:
        """The table alone, as Markdown (md), LaTeX (tex) or HTML (html)."""
        align = ["left"] * self.labels + ["right"] * (len(self.headers) - self.labels)
        text = tabulate(self.rows, self.headers, FORMATS[suffix], disable_numparse=True, colalign=align)
        return text.replace("−", "$-$").replace("–", "--") if suffix == "tex" else text


def render(results: Results, layout: TableLayout, *, tau: float | None = None) -> Rendered:
    """Our numbers at every place of a table. `tau` is chosen on honest requests where none is given."""
    rows: list[tuple[str, ...]] = []
    for line, cells in zip(layout.lines, cells_of(results, layout, tau=tau), strict=True):
        empty = ("",) * len(line.labels)
        places = [PLACES.get(entry.measure, 1) for entry in line.entries]
        rows.append((*line.labels, "ours", *map(_ours, cells, places)))
        if any(each.paper is not None for each in cells):
            rows.append((*empty, "paper", *map(_paper, cells, places)))
            rows.append((*empty, "difference", *map(_difference, cells, places)))
        if any(each.verdict for each in cells):
            rows.append((*empty, "verdict", *(each.verdict for each in cells)))
    studies = dict.fromkeys(entry.study for entry in entries_of(layout))
    labels = len(layout.lines[0].labels)
    headers = (*layout.headers[:labels], "", *layout.headers[labels:])
    about = [each for each in (layout.note, *notes(results, list(studies), fidelity=layout.fidelity, tau=tau)) if each]
    return Rendered(layout.name, layout.title, labels + 1, headers, rows, about)


def notes(results: Results, studies: Sequence[str], *, fidelity: str = READING, tau: float | None = None) -> list[str]:
    """What a reader has to know of the runs behind a table or figure: networks, seeds, rates, samples that failed."""
    measured = [study for study in studies if study in results]
    if not measured:
        return ["Not measured yet."]
    rows = [row for study in measured for row in results[study]]
    models = dict.fromkeys(f"{row['model']} on {row['dataset']}" for row in rows)
    seeds = sorted({row["seed"] for row in rows})
    copies = dict.fromkeys(f"{row['dataset']}: {row['dataset_note']}" for row in rows if row.get("dataset_note"))
    told = [f"{', '.join(models)}; seeds {', '.join(map(str, seeds))}.", *copies]
    rates: dict[str, list[str]] = {}
    for study in measured:
        rates.setdefault(_rate(results, study, fidelity, tau), []).append(study)
    rates.pop("", None)  # of methods that have none
    if rates:
        listed = "; ".join(f"{', '.join(names)} {rate}" for rate, names in rates.items())
        told.append(f"First order as `{fidelity}`; tau: {listed}.")
    missing = [study for study in studies if study not in results]
    if missing:
        told.append(f"Not measured yet: {', '.join(missing)}.")
    failed = {study: sum(r["failed"] for r in results[study] if r["attack"] == "pushing_1") for study in measured}
    tried = {study: sum(r["requested"] for r in results[study] if r["attack"] == "pushing_1") for study in measured}
    shares = ", ".join(f"{s} {100 * failed[s] / tried[s]:.1f} %" for s in measured if tried[s] and failed[s])
    if shares:
        told.append(f"Samples that did not cross, left out of all requests of their run: {shares}.")
    return told


def _rate(results: Results, study: str, fidelity: str, tau: float | None) -> str:
    """A study's rate, what an honest request costs at it, and whether the grid had a rate that fits the rule."""
    rate = chosen_tau(results, study) if tau is None else tau
    if rate is None:
        return ""
    where = tau_study(study)
    costs = honest_costs(results, where)
    cost = 100 * costs.get(rate, math.nan)
    words = f"{rate:g} (an honest 10 % request costs class A {cost:.1f} points"
    if fidelity != READING:
        own = 100 * honest_costs(results, study, fidelity).get(rate, math.nan)
        words += f" as `{READING}`, {own:.1f} here"
    if tau is None and rate == max(costs):
        words += ", the largest rate tried"
    if tau is None and costs[rate] > HONEST_COST:
        words += ", no rate tried costs less"
    return words + ")"


def _number(value: float, places: int) -> str:
    return f"{value:.{places}f}".replace("-", "−")


def _ours(found: Cell, places: int) -> str:
    if found.ours is None:
        return NOT_MEASURED
    mean = _number(found.ours.mean, places)
    if found.ours.count < 2:
        return mean
    return f"{mean} [{_number(found.ours.low, places)}, {_number(found.ours.high, places)}]"


def _paper(found: Cell, places: int) -> str:
    return "" if found.paper is None else _number(found.paper, places)


def _difference(found: Cell, places: int) -> str:
    if found.ours is None or found.paper is None:
        return ""
    difference = found.ours.mean - found.paper
    return ("+" if difference > 0 else "") + _number(difference, places)
