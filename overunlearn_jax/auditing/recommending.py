"""From what a service reveals to the search that fits, and to what an audit will cost. Asks nothing."""

import math
from typing import NamedTuple

from overunlearn_jax.attacks import LabelOnlySettings, SubspaceSettings, ZooSettings
from overunlearn_jax.auditing.revealing import CHANGES, LEVELS, Revealed
from overunlearn_jax.types import Bounds, DatasetSpec

# Queries a sample on CIFAR-10 (experiments/results/fewer_queries.md, revealed.md); digits take fewer.
ZOO_QUERIES, SUBSPACE_QUERIES, LABEL_QUERIES = 1400, 200, 1200
COARSE = 2  # decimals that show too few single pixels to most samples
LABEL_ITERATIONS = 10
SMALLEST = 32  # coordinates a step
# Of single changed pixels that have to show: searches whose probes tell more often than that cross (digits: all of 24).
ENOUGH = 0.25
ENOUGH_IN_NOISE = 0.05  # beyond the largest noise that was seen: many weaker changes add up to a direction


class Recommendation(NamedTuple):
    """A search, why, and what it costs."""

    search: ZooSettings | SubspaceSettings | LabelOnlySettings
    why: list[str]  # a sentence each
    queries_per_sample: int  # about
    seconds_per_sample: float  # about

    def cost(self, samples: int) -> str:
        """Of so many pushed samples, in words."""
        queries, minutes = samples * self.queries_per_sample, samples * self.seconds_per_sample / 60
        time = f"{minutes:,.0f} min" if minutes >= 1 else "less than a minute"
        return f"about {queries:,} queries and {time} for {samples} samples"


def recommend(revealed: Revealed, spec: DatasetSpec, *, targeted: bool = False) -> Recommendation:
    """The search that sees what the service shows.

    SEGA with one-sided differences wherever single changed pixels show in numbers; waves of the whole image where the
    numbers are noisy or have two decimals or fewer, which hide single pixels of samples that the service is sure of;
    the search by labels where no pixel shows. On the 8-bit lattice where the service rounds to it, or where nobody can
    tell. The difference h is the smallest that shows, and not below 1e-2 of the bounds' width: finer ones save nothing.
    """
    lower, upper = spec.bounds
    width = upper - lower
    levels = LEVELS if revealed.levels in (LEVELS, None) else 0
    lattice = {LEVELS: "on the 8-bit lattice, to which the service rounds", None: "on the 8-bit lattice, to be safe"}
    why = [f"images lie {lattice[revealed.levels]}"] if levels else []
    enough = ENOUGH_IN_NOISE if revealed.noise else ENOUGH
    visible = [change for change, part in zip(CHANGES, revealed.seen, strict=True) if part >= enough]
    if revealed.labels_only or not visible:
        reason = (
            "the service answers labels only"
            if revealed.labels_only
            else (f"changes of one pixel by up to {CHANGES[-1]:.2g} of its range show too seldom")
        )
        search = LabelOnlySettings(spec.bounds, iterations=LABEL_ITERATIONS, levels=levels)
        return Recommendation(search, [f"by labels: {reason}", *why], LABEL_QUERIES, LABEL_QUERIES / revealed.rate)
    if revealed.noise or (revealed.decimals is not None and revealed.decimals <= COARSE):
        hides = f"noise of {revealed.noise:.1g} hides" if revealed.noise else f"{revealed.decimals} decimals hide"
        why.insert(0, f"along waves of the whole image: {hides} single pixels")
        return Recommendation(in_a_subspace(revealed), why, SUBSPACE_QUERIES, SUBSPACE_QUERIES / revealed.rate)
    change = max(1e-2, visible[0])
    if levels:
        change = max(1, round(change * levels)) / levels
    why.insert(0, f"SEGA from probabilities: a pixel changed by {change:.3g} of its range shows")
    settings = fewest_queries(spec.bounds, spec.image_shape, targeted=targeted)._replace(
        difference=change * width, levels=levels
    )
    return Recommendation(settings, why, ZOO_QUERIES, ZOO_QUERIES / revealed.rate)


def fewest_queries(bounds: Bounds, image_shape: tuple[int, int, int], *, targeted: bool = False) -> ZooSettings:
    """A search that does the paper's harm for fewer queries, and stays near: one-sided SEGA, 32 coordinates a step.

    On CIFAR-10 it asks 1,382 queries a sample where the paper's asks 7,905, and costs class A 29.0 and 30.2 points
    where the paper's costs 28.7 and 30.7 (experiments/results/fewer_queries.md).
    """
    return ZooSettings(
        bounds,
        targeted=targeted,
        solver="sega",
        space="box",
        coordinates=min(SMALLEST, math.prod(image_shape)),
        step_size=0.01,
        difference=1e-2,
        one_sided=True,
        max_steps=1000,
    )


def in_a_subspace(revealed: Revealed) -> SubspaceSettings:
    """The search along waves of the whole image, which show where single pixels do not, for 300 queries or fewer.

    On the 8-bit lattice where the service rounds to it, or where nobody can tell.
    """
    levels = LEVELS if revealed.levels in (LEVELS, None) else 0
    return SubspaceSettings(levels=levels, resolution=_rounded_up(1.5 * revealed.noise))


def _rounded_up(value: float) -> float:
    """To a power of two, so that two probes of one service recommend one search; 0 stays."""
    return 0.0 if value <= 0 else 2.0 ** math.ceil(math.log2(value))
