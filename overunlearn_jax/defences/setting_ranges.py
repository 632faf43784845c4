"""What the settings of gates may be: a slip of the pen is no gate that refuses everyone, or nobody."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from overunlearn_jax.defences.perceptual_hash import bits_a_side


class Range(NamedTuple):
    """Numbers from `least` to `most`, both included."""

    least: float
    most: float
    what: str  # the number is, in words
    infinite: bool = False  # whether minus infinity and infinity, the limit cases, are allowed as well


MARGIN = Range(-1.0, 1.0, "a difference of two probabilities", infinite=True)
RANGES = {  # by the name of a setting, which means the same in every gate that has it
    "margin": MARGIN,
    "refuse": Range(0.0, 1.0, "a share of honest samples"),
    "trees": Range(1, math.inf, "a number of trees"),
    "neighbours": Range(1, math.inf, "a number of training samples"),
    "deviation": Range(0.0, 1.0, "a part of the width of the pixels' bounds"),
    "copies": Range(1, math.inf, "a number of noisy copies"),
    "canaries": Range(0, math.inf, "a number of test samples"),
}


def bits_apart(bits: int) -> Range:
    """The range of a distance between two hashes of so many bits."""
    return Range(0, bits, "bits that differ", infinite=True)


def scores_from(least: float, most: float) -> Range:
    """The range of a threshold of scores between these."""
    return Range(least, most, "a threshold of the gate's score", infinite=True)


def check_in(allowed: Range, who: str, key: str, value: float) -> None:
    """Raises ValueError for a number outside of the range, NaN among them.

    >>> check_in(MARGIN, "the gate agreement", "margin", 7.0)
    Traceback (most recent call last):
      ...
    ValueError: the gate agreement has margin=7.0; expected a difference of two probabilities, from -1 to 1, or infinity
    """
    if allowed.least <= value <= allowed.most or (allowed.infinite and math.isinf(value)):
        return
    most = f"to {allowed.most:g}" if math.isfinite(allowed.most) else "up"
    between = f"from {allowed.least:g} {most}"
    raise ValueError(
        f"{who} has {key}={value}; expected {allowed.what}, {between}{', or infinity' if allowed.infinite else ''}"
    )


def check_settings(who: str, settings: Mapping[str, Any]) -> None:
    """Checks those settings of a gate that have a range here; `bits`, and `distance` by the bits.

    Args:
      who: has them, for the message.
      settings: all of the gate's, by name; one of None is not checked.

    Raises:
      ValueError: a number out of range; bits that no hash has.
    """
    known = {key: value for key, value in settings.items() if value is not None}
    ranges = dict(RANGES)
    if "bits" in known:
        bits_a_side(known["bits"])
        ranges["distance"] = bits_apart(known["bits"])
    for key, value in known.items():
        if key in ranges:
            check_in(ranges[key], who, key, value)
