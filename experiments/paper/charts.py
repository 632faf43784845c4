"""The paper's bar and line charts, drawn from the numbers behind them."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from experiments.paper.cells import Cell, Results, cell, chosen_tau
from experiments.paper.figure_numbers import FIGURE_NUMBERS
from experiments.paper.layout import ATTACKS, NAMES, PUSHES, READING, Entry
from experiments.paper.studies import SETS, TAUS
from overunlearn_jax.statistics.intervals import Interval

# Okabe and Ito's palette: told apart by colour-blind readers and in print.
COLOURS = {
    "before": "#BBBBBB",
    "normal": "#777777",
    "pushing_1": "#0072B2",
    "pushing_2": "#009E73",
    "blending": "#E69F00",
}
CLASSES = 10  # of CIFAR-10, with as many test images each: a point of a class is a tenth of one overall
TITLES = {"before": "Before", **ATTACKS}
PAPER_MARK: dict[str, Any] = {"marker": "D", "color": "#D55E00", "linestyle": "none", "markersize": 6}


def class_a_bars(results: Results) -> Figure:
    """Figure 5: a panel for each size of the request, a group of bars for each data set."""
    layout = FIGURE_NUMBERS["figure_05"]()
    figure, panels = _axes(1, 2, 11, 4)
    sizes = dict.fromkeys(line.labels[1] for line in layout.lines)
    for axes, size in zip(panels, sizes, strict=True):
        lines = [line for line in layout.lines if line.labels[1] == size]
        for group, line in enumerate(lines):
            for index, entry in enumerate(line.entries):
                place = group + 0.2 * (index - 1.5)
                _bar(axes, place, cell(results, entry), 0.18, COLOURS[entry.attack], TITLES[entry.attack])
        axes.set_xticks(range(len(lines)), [line.labels[0] for line in lines])
        axes.set_ylim(0, 100)
        axes.set_title(f"{size} of class A requested")
    panels[0].set_ylabel("test accuracy of class A (%)")
    _legend(panels[0], ncols=2, loc="upper right")
    return figure


def predicted_labels(results: Results, name: str) -> Figure:
    """Figures 6 and 7: a panel for each request, a bar for each label."""
    layout = FIGURE_NUMBERS[name]()
    figure, panels = _axes(1, len(layout.lines), 11, 3.2)
    labels = layout.headers[1:]
    for axes, line in zip(panels, layout.lines, strict=True):
        for place, entry in enumerate(line.entries):
            _bar(axes, place, cell(results, entry), 0.8, COLOURS[entry.attack], None)
        axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right", fontsize=8)
        axes.set_ylim(0, 1000)
        axes.set_title(line.labels[0])
        if axes.get_legend_handles_labels()[1]:
            _legend(axes)
    panels[0].set_ylabel("test airplanes predicted so")
    return figure


def points_lost(results: Results, name: str, words: tuple[str, str], *, ceiling: bool = False) -> Figure:
    """Figures 8(a), 8(b) and 10: a line for each request over what the columns say; `words` are the axes'.

    `ceiling` adds what there is to lose of overall accuracy: all that the honest request has left of class A.
    """
    layout = FIGURE_NUMBERS[name]()
    figure, [axes] = _axes(1, 1, 5.5, 3.8)
    places = [float(header.replace(",", "")) for header in layout.headers[1:]]
    for line in layout.lines:
        cells = [cell(results, entry) for entry in line.entries]
        attack = line.entries[0].attack
        _curve(axes, places, [each.ours for each in cells], COLOURS[attack], TITLES[attack])
        for place, each in zip(places, cells, strict=True):
            _mark(axes, place, each)
    if ceiling:
        left = [cell(results, e._replace(attack="normal", measure="class_a")).ours for e in layout.lines[0].entries]
        shares = [None if each is None else each.mean / CLASSES for each in left]
        known = [(place, share) for place, share in zip(places, shares, strict=True) if share is not None]
        axes.plot(*zip(*known, strict=True), color="black", linestyle=":", label="all that is left of the class")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlabel(words[0])
    axes.set_ylabel(words[1])
    _legend(axes)
    return figure


def tau_curves(results: Results) -> Figure:
    """Class A by the unlearning rate: a row for each reading of the first-order step, a column for each data set."""
    readings = {READING: "", "authors_code": "_readings", "equation": "_readings"}
    figure, panels = _axes(len(readings), len(SETS), 11, 9)
    for row, (fidelity, suffix) in enumerate(readings.items()):
        for column, name in enumerate(SETS):
            axes = panels[row * len(SETS) + column]
            for attack in PUSHES:
                entry = Entry(f"{name}{suffix}", attack, 0.1, "class_a", None, fidelity=fidelity)
                values = [cell(results, entry, tau=tau).ours for tau in TAUS[name]]
                _curve(axes, TAUS[name], values, COLOURS[attack], TITLES[attack])
            before = cell(results, Entry(name, "before", 0.1, "class_a", None)).ours
            if before is not None:
                axes.axhline(before.mean, color="black", linestyle=":", linewidth=1, label="Before")
            chosen = chosen_tau(results, f"{name}{suffix}", fidelity)
            if chosen is not None:
                axes.axvline(chosen, color="#D55E00", linewidth=1, label="rate of the tables")
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())  # they would overprint each other
            axes.set_ylim(0, 100)
            axes.set_title(f"{NAMES[name]}, {fidelity}", fontsize=10)
    for axes in panels[-len(SETS) :]:
        axes.set_xlabel("tau")
    for axes in panels[:: len(SETS)]:
        axes.set_ylabel("test accuracy of class A (%)")
    _legend(panels[0])
    return figure


def _axes(rows: int, columns: int, width: float, height: float) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _bar(axes: Axes, place: float, found: Cell, width: float, colour: str, label: str | None) -> None:
    if found.ours is not None:
        axes.bar(place, found.ours.mean, width, color=colour, label=_once(axes, label))
        if not math.isnan(found.ours.low):
            axes.errorbar(place, found.ours.mean, _error(found.ours), color="black", capsize=3)
    _mark(axes, place, found)


def _mark(axes: Axes, place: float, found: Cell) -> None:
    if found.paper is not None:
        axes.plot(place, found.paper, label=_once(axes, "paper"), **PAPER_MARK)


def _curve(axes: Axes, places: Sequence[float], values: Sequence[Interval | None], colour: str, label: str) -> None:
    known = [(place, value) for place, value in zip(places, values, strict=True) if value is not None]
    means = [value.mean for _, value in known]
    errors = [[0.0 if math.isnan(value.low) else value.mean - value.low for _, value in known]] * 2
    axes.errorbar([x for x, _ in known], means, errors, marker="o", capsize=3, color=colour, label=label)


def _error(value: Interval) -> list[list[float]]:
    return [[value.mean - value.low], [value.high - value.mean]]


def _once(axes: Axes, label: str | None) -> str | None:
    return None if label in axes.get_legend_handles_labels()[1] else label


def _legend(axes: Axes, **where: Any) -> None:
    axes.legend(frameon=False, fontsize=8, **where)
