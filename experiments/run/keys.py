"""Every random choice of a seed."""

from typing import NamedTuple

import jax

from overunlearn_jax.types import Key


class SeedKeys(NamedTuple):
    """The keys of one seed. Deletions have one for all requests, so that only the request differs."""

    train: Key
    push: Key
    noise: Key
    unlearn: Key


def seed_keys(seed: int) -> SeedKeys:
    """The keys of one seed."""
    attack_key, train_key = jax.random.split(jax.random.key(seed))
    return SeedKeys(train_key, *jax.random.split(attack_key, 3))
