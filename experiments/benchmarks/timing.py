"""How fast two or more sides are, measured in turn within one run, so that a busy machine slows all of them."""

import statistics
import time
from collections.abc import Callable, Mapping

Work = Callable[[int], int]  # does about as many units as asked for, returns how many it did


def rate(work: Work, units: int) -> float:
    """Units a second of one call."""
    began = time.perf_counter()
    done = work(units)
    return done / (time.perf_counter() - began)


def rates(sides: Mapping[str, Work], smallest: int, seconds: float, repeats: int) -> dict[str, list[float]]:
    """`repeats` rates of every side, the sides in turn, each call of about `seconds`; every side is warm by then."""
    units = {}
    for name, work in sides.items():
        work(smallest)  # compiles
        once = rate(work, smallest)
        units[name] = max(smallest, int(rate(work, max(smallest, int(once * seconds / 4))) * seconds))
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, work in sides.items():
            found[name].append(rate(work, units[name]))
    return found


def ratio(one: list[float], other: list[float]) -> float:
    """Median of the ratios within each repeat."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))
