"""The paper's tables in its own layout, four lines for each of its lines: ours, theirs, the difference, a verdict."""

from typing import NamedTuple

from tabulate import tabulate

from experiments.paper.cells import READING, Cell, Results, cell, chosen_tau
from experiments.paper.tables import TableLayout
from overunlearn_jax.intervals import Interval

FORMATS = {"md": "github", "tex": "latex_booktabs", "html": "html"}
NOT_MEASURED = "–"
EXPLAINED = (
    "Ours: mean over seeds [95 % Student-t interval]. The verdict compares, for a malicious request, how much less is "
    "left than after the honest one: whether the sign is the paper's, and whether our interval excludes 0."
)


class Rendered(NamedTuple):
    """A table as text cells, with what has to be said about it."""

    name: str
    title: str
    headers: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: list[str]

    def as_text(self, suffix: str) -> str:
        """The table alone, as Markdown (md), LaTeX (tex) or HTML (html)."""
        left = sum(not header for header in self.headers) or 1
        align = ["left"] * left + ["right"] * (len(self.headers) - left)
        return tabulate(self.rows, self.headers, FORMATS[suffix], disable_numparse=True, colalign=align)


def render(results: Results, layout: TableLayout, *, fidelity: str = READING, tau: float | None = None) -> Rendered:
    """Our numbers at every place of a table. `tau` is chosen on honest requests where none is given."""
    rows: list[tuple[str, ...]] = []
    effects = _paper_effects(layout)
    for line in layout.lines:
        cells = [
            None
            if entry is None
            else _with_effect(cell(results, entry, fidelity=fidelity, tau=tau), effects.get(entry))
            for entry in line.entries
        ]
        empty = ("",) * len(line.labels)
        rows.append((*line.labels, "ours", *map(_ours, cells)))
        rows.append((*empty, "paper", *map(_paper, cells)))
        rows.append((*empty, "difference", *map(_difference, cells)))
        if any(each is not None and each.verdict for each in cells):
            rows.append((*empty, "verdict", *("" if each is None else each.verdict for each in cells)))
    studies = dict.fromkeys(entry.study for line in layout.lines for entry in line.entries if entry is not None)
    labels = len(layout.lines[0].labels)
    headers = (*layout.headers[:labels], "", *layout.headers[labels:])
    notes = [each for each in (layout.note, *_notes(results, list(studies), fidelity, tau)) if each]
    return Rendered(layout.name, layout.title, headers, rows, notes)


def _paper_effects(layout: TableLayout) -> dict[object, float]:
    """What each malicious cell of the paper lies below the honest one of the same run and size."""
    entries = [entry for line in layout.lines for entry in line.entries if entry is not None]
    honest = {(e.study, e.fraction, e.measure, e.label): e.paper for e in entries if e.attack == "normal"}
    effects: dict[object, float] = {}
    for entry in entries:
        base = honest.get((entry.study, entry.fraction, entry.measure, entry.label))
        if entry.attack not in ("before", "normal") and base is not None and entry.paper is not None:
            effects[entry] = base - entry.paper
    return effects


def _with_effect(found: Cell, effect: float | None) -> Cell:
    return found if effect is None else found._replace(paper_effect=effect)


def _notes(results: Results, studies: list[str], fidelity: str, tau: float | None) -> list[str]:
    measured = [study for study in studies if study in results]
    if not measured:
        return ["Not measured yet."]
    rows = [row for study in measured for row in results[study]]
    models = dict.fromkeys(f"{row['model']} on {row['dataset']}" for row in rows)
    seeds = sorted({row["seed"] for row in rows})
    rates = {study: chosen_tau(results, study) if tau is None else tau for study in measured}
    notes = [f"{', '.join(models)}; seeds {', '.join(map(str, seeds))}."]
    if any(rate is not None for rate in rates.values()):
        told = ", ".join(f"{study} {rate:g}" for study, rate in rates.items() if rate is not None)
        notes.append(f"First order as `{fidelity}`; tau: {told}.")
    missing = [study for study in studies if study not in results]
    if missing:
        notes.append(f"Not measured yet: {', '.join(missing)}.")
    failed = {study: sum(r["failed"] for r in results[study] if r["attack"] == "pushing_1") for study in measured}
    tried = {study: sum(r["requested"] for r in results[study] if r["attack"] == "pushing_1") for study in measured}
    told = ", ".join(f"{s} {100 * failed[s] / tried[s]:.1f} %" for s in measured if tried[s] and failed[s])
    if told:
        notes.append(f"Samples that did not cross, left out of all requests of their run: {told}.")
    return notes


def _number(value: float, places: int) -> str:
    return f"{value:.{places}f}".replace("-", "−")


def _places(found: Cell) -> int:
    """SSIM is below 1 and wants four decimals."""
    return 4 if found.ours is not None and 0 < abs(found.ours.mean) <= 1 and (found.paper or 2) < 1 else 1


def _ours(found: Cell | None) -> str:
    if found is None:
        return ""
    if found.ours is None:
        return NOT_MEASURED
    return _interval(found.ours, _places(found))


def _interval(interval: Interval, places: int) -> str:
    if interval.count < 2:
        return _number(interval.mean, places)
    low, high = _number(interval.low, places), _number(interval.high, places)
    return f"{_number(interval.mean, places)} [{low}, {high}]"


def _paper(found: Cell | None) -> str:
    return "" if found is None or found.paper is None else _number(found.paper, _places(found))


def _difference(found: Cell | None) -> str:
    if found is None or found.ours is None or found.paper is None:
        return ""
    difference = found.ours.mean - found.paper
    return ("+" if difference > 0 else "") + _number(difference, _places(found))
