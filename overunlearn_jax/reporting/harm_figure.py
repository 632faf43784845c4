"""The picture of a finding as one PNG file: what each request costs beyond an honest one."""

import math
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from overunlearn_jax.reporting.chart import have_intervals, text_of, title_of
from overunlearn_jax.reporting.drawing import INK, plain_axes, save
from overunlearn_jax.reporting.harm import HarmLine
from overunlearn_jax.reporting.outcomes import COLOURS
from overunlearn_jax.reporting.wording import allowed_points

_WIDTH = 85  # letters in a line of the title


def harm_bars(
    lines: Sequence[HarmLine], path: str | os.PathLike[str], title: str, *, limit: float | None = None
) -> Path:
    """Draws a bar for each request and class: the mean, with its interval, in points of test accuracy.

    Args:
      lines: of one setting, at least one, see `harm.harm_lines`.
      path: the PNG file to write.
      title: what it was measured on.
      limit: the harm that a claim allows, a fraction; drawn as a dashed line.

    Returns:
      The path.

    Raises:
      ValueError: if there is no line to draw.
      OSError: if the file cannot be written.
    """
    if not lines:
        raise ValueError("nothing to draw: expected a line for each malicious request, got none.")
    of_class = {role: [line for line in lines if line.role == role] for role in dict.fromkeys(e.role for e in lines)}
    figure = Figure(figsize=(7.5, 1.4 + 0.34 * (len(lines) + 2 * len(of_class))), layout="constrained")
    heights = [len(some) + 1 for some in of_class.values()]
    panels = figure.subplots(len(of_class), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, some in zip(panels, of_class.values(), strict=True):
        axes.set_title(title_of(some[0]), fontsize=11, loc="left")
        _draw(axes, some, limit)
    marks = ("bar: mean; line: interval" if have_intervals(lines) else "one seed, so no interval") + (
        "" if limit is None else f"; dashed: the {allowed_points(limit)} allowed"
    )
    panels[-1].set_xlabel(f"points of test accuracy ({marks})", fontsize=11)
    words = "What each request costs beyond an honest request of the same samples"
    figure.suptitle(f"{words}\n{textwrap.fill(title, _WIDTH)}", fontsize=12)
    return save(figure, path)


def _draw(axes: Axes, lines: Sequence[HarmLine], limit: float | None) -> None:
    axes.axvline(0, color=INK, linewidth=0.8)
    if limit is not None:
        axes.axvline(100 * limit, color=INK, linewidth=1.2, linestyle="--")
    for position, line in enumerate(lines):
        mean, low, high = (100 * value for value in line.harm[:3])
        if line.harm.count:
            axes.barh(position, mean, height=0.6, color=COLOURS[line.tone], alpha=0.6)
            axes.plot(mean, position, "o", color=COLOURS[line.tone], markersize=5)
        if not math.isnan(low):
            axes.errorbar(mean, position, xerr=[[mean - low], [high - mean]], color=INK, capsize=4, linewidth=1.4)
        beside = axes.get_yaxis_transform()  # numbers in a column of their own
        axes.text(1.02, position, text_of(line), transform=beside, va="center", fontsize=10)
    axes.set_yticks(range(len(lines)), [line.request for line in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    plain_axes(axes)
