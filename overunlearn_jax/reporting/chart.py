"""Where each mark of the picture of a finding stands on a page: places in percent of its width."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from overunlearn_jax.reporting.harm import REQUESTED, HarmLine
from overunlearn_jax.reporting.wording import allowed_points, percent

_MARGIN = 0.04  # of the range, left free at either end
_STEPS = (1, 2, 5, 10, 20, 25, 50)  # points between two ticks
_MOST_TICKS = 6


class Bar(NamedTuple):
    """One line of the picture."""

    name: str
    tone: str
    text: str  # the number and its interval, or what is to be read in its place
    start: float | None  # where the bar begins, its width and its end (the mean); None for no number
    width: float | None
    mean: float | None
    low: float | None  # ends of the interval; None for one seed
    high: float | None


class Group(NamedTuple):
    """The lines of one class."""

    title: str
    bars: list[Bar]


class Tick(NamedTuple):
    """A number below the picture."""

    place: float
    text: str


class Chart(NamedTuple):
    """A picture of harms, for a template."""

    groups: list[Group]
    ticks: list[Tick]
    zero: float
    limit: float | None  # what a claim allows
    allowed: str  # the same in points; empty for none
    has_intervals: bool  # in any line
    alt: str  # all of it in words


def chart_of(lines: Sequence[HarmLine], limit: float | None = None) -> Chart | None:
    """Returns where the marks of these lines stand, class by class; None for no lines.

    Args:
      lines: of one setting.
      limit: the harm that a claim allows, a fraction; None where nobody judges.
    """
    if not lines:
        return None
    low, high = _range(lines, limit)

    def place(fraction: float) -> float:
        return round(100 * (fraction - low) / (high - low), 2)

    groups = []
    for role in dict.fromkeys(line.role for line in lines):
        of_role = [line for line in lines if line.role == role]
        groups.append(Group(title_of(of_role[0]), [_bar(line, place) for line in of_role]))
    ticks = [Tick(place(each), f"{100 * each:.0f}") for each in _ticks(low, high)]
    allowed = "" if limit is None else allowed_points(limit)
    at = None if limit is None else place(limit)
    return Chart(groups, ticks, place(0.0), at, allowed, have_intervals(lines), _alt(lines, allowed))


def have_intervals(lines: Sequence[HarmLine]) -> bool:
    """Returns whether any line has an interval: with one seed none has."""
    return any(line.harm.count > 1 for line in lines)


def title_of(line: HarmLine) -> str:
    """Returns what stands above the lines of this one's class."""
    told = "whose samples were requested" if line.role == REQUESTED else "another class"
    return f"class {line.class_name}, {told}"


def text_of(line: HarmLine) -> str:
    """Returns the number of a line with its interval, in points, and what else is to be read of it."""
    if line.harm.count == 0:
        return line.in_place or percent(None)
    return percent(line.harm) + (f"; {line.in_place}" if line.in_place else "")


def _bar(line: HarmLine, place: Callable[[float], float]) -> Bar:
    mean, low, high, count = line.harm
    if count == 0:
        return Bar(line.request, line.tone, text_of(line), None, None, None, None, None)
    start, end = sorted((place(0.0), place(mean)))
    ends = (None, None) if math.isnan(low) else (place(low), place(high))
    return Bar(line.request, line.tone, text_of(line), start, round(end - start, 2), place(mean), *ends)


def _range(lines: Sequence[HarmLine], limit: float | None) -> tuple[float, float]:
    numbers = [0.0, *([] if limit is None else [limit])]
    for line in lines:
        numbers += [value for value in line.harm[:3] if not math.isnan(value)]
    low, high = min(numbers), max(max(numbers), 0.05)
    margin = _MARGIN * (high - low)
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    step = next((step for step in _STEPS if 100 * (high - low) / step <= _MOST_TICKS), _STEPS[-1])
    first, last = math.ceil(100 * low / step), math.floor(100 * high / step)
    return [number * step / 100 for number in range(first, last + 1)]


def _alt(lines: Sequence[HarmLine], allowed: str) -> str:
    told = "; ".join(f"{line.request}, class {line.class_name}: {text_of(line)}" for line in lines)
    ending = f" Allowed: {allowed} points." if allowed else ""
    return f"Points of test accuracy that each request costs beyond an honest request. {told}.{ending}"
