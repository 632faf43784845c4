"""The picture of the widths: harm of a push on the left, the length of its step on the right."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from overunlearn_jax.reporting.drawing import INK, plain_axes, save
from overunlearn_jax.statistics.intervals import Interval

LOOKS = (("o", "#1b6ca8"), ("s", "#c8553d"), ("^", "#5b8c5a"))
PAPER_WIDTH, PAPER_HARM = 128, 81.7 - 29.5  # points of class A in figure 5, 400 airplanes: honest less pushed


class Width(NamedTuple):
    """What a push does to the victims of one width under one reading. Fractions of class A's test images."""

    reading: str
    width: int
    overall: Interval  # before any request
    overall_left: Interval  # after the honest request: what is left of the model beside class A
    before: Interval  # class A before any request
    harm: Interval  # of a push beyond the honest request
    times: Interval  # as long as the honest step
    beyond_longer: Interval  # harm beyond an honest step as long
    five_times: Interval | None  # what an honest request of five times as many samples costs


def draw(widths: Sequence[Width], path: Path) -> Path:
    """A line for each reading over widths, with intervals over victims; the paper's harm is a diamond."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    harm, length = figure.subplots(1, 2)
    for number, reading in enumerate(dict.fromkeys(each.reading for each in widths)):
        own = [each for each in widths if each.reading == reading]
        marker, colour = LOOKS[number % len(LOOKS)]
        places = [each.width * (1 + 0.03 * (number - 1)) for each in own]  # side by side
        for axes, values, unit in (
            (harm, [each.harm for each in own], 100.0),
            (length, [each.times for each in own], 1.0),
        ):
            several = [each if each.count > 2 else each._replace(low=each.mean, high=each.mean) for each in values]
            low, high = ([unit * abs(getattr(each, end) - each.mean) for each in several] for end in ("low", "high"))
            means = [unit * each.mean for each in values]
            axes.errorbar(
                places, means, yerr=[low, high], marker=marker, color=colour, capsize=3, linewidth=1.2, label=reading
            )
    harm.plot([PAPER_WIDTH], [PAPER_HARM], "D", color=INK, markersize=8, label="the paper")
    harm.axhline(0, color=INK, linewidth=0.8)
    harm.set_ylabel("class A lost beyond an honest request, points", fontsize=11)
    harm.set_ylim(-20, 105)
    length.set_ylabel("length of the step, in honest steps", fontsize=11)
    length.set_ylim(0, None)
    for axes in (harm, length):
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted({each.width for each in widths}), labels=sorted({each.width for each in widths}))
        axes.set_xlabel("width of the convolutions", fontsize=11)
        plain_axes(axes)
    harm.legend(fontsize=9, loc="upper left", frameon=False)
    return save(figure, path)
