"""What `overunlearn paper` and `overunlearn methods` were asked for."""

from collections.abc import Sequence

from experiments.methods.grid import LADDERS
from experiments.paper.exhibits import EXHIBITS
from overunlearn_jax.spelling import did_you_mean


def exhibit_named(typed: Sequence[str], experiment: str | None) -> str:
    """The table or figure, or all: `typed` behind the sub-command, or the --experiment of a flagfile.

    Raises ValueError unless there is one, and it is of the paper.
    """
    names = list(dict.fromkeys([*typed, *([experiment] if experiment else [])]))
    known = ("all", *EXHIBITS)
    if len(names) != 1:
        raise ValueError(f"overunlearn paper{_joined(names)}: give one name, out of {', '.join(known)}")
    if names[0] not in known:
        raise ValueError(
            f"overunlearn paper {names[0]}: expected one of {', '.join(known)}{did_you_mean(names[0], known)}"
        )
    return names[0]


def methods_named(typed: Sequence[str], flagged: Sequence[str]) -> list[str]:
    """The methods of the grid: `typed` behind the sub-command, or `flagged` by --method; none: all.

    Raises ValueError for a name that the grid does not have.
    """
    for name in typed:
        if name not in LADDERS:
            raise ValueError(
                f"overunlearn methods {name}: expected some of {', '.join(LADDERS)}{did_you_mean(name, LADDERS)}"
            )
    return list(dict.fromkeys([*typed, *flagged]))


def _joined(names: Sequence[str]) -> str:
    return f" {' '.join(names)}" if names else ""
