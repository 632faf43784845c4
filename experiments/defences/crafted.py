"""Requests as large as a run makes them, by the attack that made them."""

from collections.abc import Sequence

from experiments.config import Config
from experiments.pipeline import SeedRun, crafter_of
from overunlearn_jax.data import request_size
from overunlearn_jax.types import Request


def largest_requests(config: Config, seed: int, ready: SeedRun, attacks: Sequence[str]) -> dict[str, Request]:
    """A seed's requests by their attack, at the largest of the fractions."""
    crafter = crafter_of(config, seed, ready)
    count = request_size(ready.splits.train, ready.classes.a, max(config.attack.fractions))
    made = {attack: crafter.craft(attack, count) for attack in attacks}
    return {attack: Request(each.images, each.labels) for attack, each in made.items()}
