"""The forest plot: every place that a claim is read in, ours with its interval beside the paper's."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.paper.cells import Results
from experiments.paper.charts import COLOURS, PAPER_MARK
from experiments.paper.claims import Judged, effects_at, places_of
from experiments.paper.layout import ATTACKS, Entry
from overunlearn_jax.statistics.intervals import Interval, mean_interval

OURS, MEAN = COLOURS["pushing_1"], "all places"


def forest(results: Results, found: Sequence[Judged]) -> Figure:
    """A panel for each claim; a line for each place, and the mean over them last."""
    columns = [list(found)[: len(found) // 2], list(found)[len(found) // 2 :]]
    lines = [[_lines(results, each) for each in column] for column in columns]
    figure = Figure(figsize=(13, 0.2 * max(sum(map(len, column)) + 3 * len(column) for column in lines)))
    places = figure.add_gridspec(1, 2, wspace=0.5, left=0.16, right=0.98, top=0.94, bottom=0.03)
    for side, (column, of_column) in enumerate(zip(columns, lines, strict=True)):
        rows = places[side].subgridspec(
            len(column), 1, height_ratios=[len(each) + 1 for each in of_column], hspace=0.75
        )
        for number, (claim, own) in enumerate(zip(column, of_column, strict=True)):
            _panel(figure.add_subplot(rows[number]), claim, own)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, ncols=2, loc="upper left")
    figure.suptitle("points that a malicious request costs beyond the honest one of the same samples", fontsize=10)
    return figure


def _lines(results: Results, found: Judged) -> list[tuple[str, Interval | None, float]]:
    """Words, our effect and the paper's; of a claim of a difference only the difference."""
    claim, lines = found.claim, []
    if claim.less is None:
        sign = -1.0 if claim.gains else 1.0
        for entry, paper in places_of(claim):
            values = [sign * value for value in effects_at(results, entry).values()]
            lines.append((_words(entry), mean_interval(values) if values else None, sign * paper))
    return [*lines, (MEAN if lines else "difference", found.ours, found.paper)]


def _words(entry: Entry) -> str:
    return f"{entry.study.replace('_', ' ')}, {100 * entry.fraction:g} %, {ATTACKS[entry.attack]}"


def _panel(axes: Axes, found: Judged, lines: Sequence[tuple[str, Interval | None, float]]) -> None:
    for place, (_, ours, paper) in enumerate(lines):
        bold = place == len(lines) - 1
        if ours is not None:
            error = None if np.isnan(ours.low) else [[ours.mean - ours.low], [ours.high - ours.mean]]
            axes.errorbar(
                ours.mean, place, xerr=error, color=OURS, marker="s" if bold else "o", capsize=2,
                linewidth=2 if bold else 1, markersize=6 if bold else 4, label=None if place else "ours",
            )  # fmt: skip
        axes.plot(paper, place, label=None if place else "paper", **PAPER_MARK)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(lines)), [words for words, _, _ in lines], fontsize=8)
    axes.get_yticklabels()[-1].set_fontweight("bold")
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(f"{found.claim.words}: {found.verdict}", fontsize=9, loc="left", x=-0.45, fontweight="bold")
