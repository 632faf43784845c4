"""How finely an accuracy was measured: of how many test images it is."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

_MOST_IMAGES = 100_000  # of a test set; beyond it a fraction can no longer be told from rounding
_ROUNDING = 1e-14


def count_test_images(rows: Sequence[Mapping[str, Any]], measure: str) -> int | None:
    """Returns of how many test images the accuracies `measure` and `measure_before` in these rows are.

    Class A's are counted in every row, class B's in newer ones. For the rest the accuracies tell: 0.9375 and 0.5625 are
    sixteenths, so there are 16 images, or 32, or more; the least number is returned, which makes an interval wider
    rather than finer.

    Args:
      rows: of one setting; each seed may have test images of its own, and the most are returned.
      measure: "overall", "class_a" or "class_b".

    Returns:
      The number of images; None where no row tells.
    """
    if measure == "class_a":
        return max((sum(row["class_a_predicted_before"]) for row in rows), default=0) or None
    if known := [row[f"{measure}_test_images"] for row in rows if row.get(f"{measure}_test_images")]:
        return max(known)
    of_seeds: dict[int, list[float]] = {}
    for row in rows:
        values = (row.get(key) for key in (measure, f"{measure}_before"))
        of_seeds.setdefault(row["seed"], []).extend(float(value) for value in values if value is not None)
    return max(filter(None, map(smallest_denominator, of_seeds.values())), default=None)


def smallest_denominator(values: Sequence[float]) -> int | None:
    """Returns the least n for which every value is a whole number of n-ths; None for no values or no such n.

    Examples:
      >>> smallest_denominator([0.9375, 0.5625, 0.25])
      16
    """
    found = [Fraction(value).limit_denominator(_MOST_IMAGES) for value in values]
    if not found or any(
        abs(float(fraction) - value) > _ROUNDING for fraction, value in zip(found, values, strict=True)
    ):
        return None
    common = math.lcm(*(fraction.denominator for fraction in found))
    return common if common <= _MOST_IMAGES else None
