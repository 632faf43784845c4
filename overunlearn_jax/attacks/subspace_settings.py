"""How many queries a push in a subspace may take, and what they are spent on."""

import math
from typing import NamedTuple

from overunlearn_jax.attacks.zoo_state import check_count, check_limit, check_number

LENGTHS = (0.5, 0.7, 0.85, 1.0, 1.4, 2.0)  # of a step, in lengths at which a linear margin would be 0
SHORTEST = 0.25  # of a step, in probes: differences say nothing of shorter ways
LONGER = 3.0  # times, where probes are too short to be seen


class SubspaceSettings(NamedTuple):
    """How many queries to spend on what; lengths are L2, in the units of the pixels."""

    directions: int = 24  # probed in a round, at most as many as an image has pixels and channels
    rounds: int = 9  # each along the next higher frequencies; after the highest come the lowest again
    difference: float = 0.3  # length of a probe
    longest: float = 10.0  # that a probe may become where the service shows next to nothing of shorter ones
    near: float = 1.0  # an image across that is no farther from the original is brought no nearer
    halvings: int = 6  # of the way between the last image inside and the first across, in the end
    max_queries: int = 300  # a sample, never exceeded
    max_l2: float = 20.0  # a sample that ends farther away is TOO_FAR
    resolution: float = 0.0  # probabilities that differ by no more are the same answer; 0: bit for bit
    levels: int = 0  # 255: all images are exact 8-bit ones; 0: any pixels
    group: int = 32  # samples searched side by side: sets the memory, changes no result

    def fitted(self, image_shape: tuple[int, ...]) -> "SubspaceSettings":
        """These settings with no more directions than images (h, w, c) have.

        >>> SubspaceSettings(directions=100).fitted((8, 8, 1)).directions
        64
        """
        return self._replace(directions=min(self.directions, math.prod(image_shape)))

    @property
    def queries_per_round(self) -> int:
        """Images a round: the probes and the lengths of the step."""
        return self.directions + len(LENGTHS)


def check_subspace_settings(settings: SubspaceSettings) -> None:
    """Raises ValueError for settings with which no search can be run."""
    for name, least in (("directions", 1), ("rounds", 1), ("halvings", 0), ("levels", 0), ("group", 1)):
        check_count(name, getattr(settings, name), least)
    difference, resolution = settings.difference, settings.resolution
    check_number("difference", difference, "a finite number above 0, the length of a probe", difference > 0)
    check_limit("longest", settings.longest)
    check_number("resolution", resolution, "a finite number, 0 or more", resolution >= 0)
    for name in ("near", "max_l2"):
        check_limit(name, getattr(settings, name))
    check_count("max_queries", settings.max_queries, 1)
    least = 1 + settings.queries_per_round + settings.halvings
    if settings.max_queries < least:
        raise ValueError(
            f"max_queries is {settings.max_queries}: one round takes {least}, of which {settings.directions} are "
            f"directions and {settings.halvings} halvings; allow more queries or take fewer of these"
        )
