"""What a reader has to know of the test images and of the service before any claim is believed."""

from collections.abc import Sequence

from overunlearn_jax.auditing._honest_costs import Row
from overunlearn_jax.auditing._verdicts import Verdict
from overunlearn_jax.reporting.outcomes import SAFE

SPARED = 0.05  # a chance of which 95 % confidence speaks
BEYOND_CHANCE = 0.1  # of what lies between guessing and always right


def small_sets(claims: Sequence[Verdict]) -> list[str]:
    """Classes that are said to be safe, with so few test images that harm may spare all of them by chance."""
    found = {}
    for each in claims:
        if each.outcome != SAFE:
            continue
        spared = 1.0 if each.images is None else (1 - each.limit) ** each.images
        if each.images and SPARED < spared < 1:
            found[each.class_name] = (
                f"WARNING: class {each.class_name} has {each.images} test images. A request that costs "
                f"{100 * each.limit:g} % of all images of the class leaves each of these as it was with probability "
                f"{spared:.2f}: bounds are of these images, over choices of the requested samples"
            )
    return [*found.values()]


def near_chance(rows: Sequence[Row]) -> list[str]:
    """A service that hardly does better than guessing is more likely to be asked in a wrong way than to be so bad."""
    right = [row["overall_before"] for row in rows if row.get("overall_before") is not None]
    classes = len(rows[0].get("class_names", ()))
    if not right or classes < 2:
        return []
    chance, mean = 1 / classes, sum(right) / len(right)
    if mean > chance + BEYOND_CHANCE * (1 - chance):
        return []
    return [
        f"WARNING: the service is right about {100 * mean:.1f} % of the test images, and guessing about "
        f"{100 * chance:.1f} %: are the classes in its order, and the pixels in its range and layout?"
    ]
