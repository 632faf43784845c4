"""The picture of cheaper searches: harm over queries a sample, a mark for each way, labels at the marks."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from overunlearn_jax.reporting.drawing import INK, plain_axes, save
from overunlearn_jax.statistics.intervals import Interval

LOOKS = (("Pushing-I", "o", "#1b6ca8"), ("Pushing-II", "s", "#c8553d"))


class Way(NamedTuple):
    """What a search asks for and does."""

    name: str
    queries: float  # a sample
    harm: tuple[Interval, Interval]  # of Pushing-I and Pushing-II, fractions of class A beyond an honest request


def draw(ways: Sequence[Way], path: Path) -> Path:
    """Harm over queries on a log scale, with intervals over victims; the paper's harm is a line across."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    ordered = sorted(ways, key=lambda way: way.queries)
    for number, (label, marker, colour) in enumerate(LOOKS):
        found = [way.harm[number] for way in ordered]
        ends = [[100 * abs(getattr(each, end) - each.mean) for each in found] for end in ("low", "high")]
        axes.errorbar(
            [way.queries * (0.98, 1.02)[number] for way in ordered],
            [100 * each.mean for each in found],
            yerr=ends if all(each.count > 1 for each in found) else None,
            fmt=marker,
            color=colour,
            capsize=3,
            linewidth=1.0,
            label=label,
        )
    for way in ordered:
        axes.annotate(
            way.name,
            (way.queries, 0),
            xytext=(-9, 5),
            textcoords="offset points",
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=8,
            color=INK,
        )
    axes.set_xscale("log")
    axes.set_ylim(0, None)
    axes.set_xlabel("queries a sample", fontsize=11)
    axes.set_ylabel("class A lost beyond an honest request, points", fontsize=11)
    axes.legend(fontsize=9, loc="upper left", frameon=False)
    plain_axes(axes)
    return save(figure, path)
