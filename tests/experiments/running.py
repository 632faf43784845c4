"""What the tests of whole runs share: a run up to its pushes, its rows, and calls that must not happen."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from experiments import pipeline
from experiments.config import Config
from experiments.measures.forgetting import ForgettingMeter
from experiments.measures.memo import Memo
from experiments.victims.cache import Victim, train_or_find
from overunlearn_jax.auditing.choosing import AttackerSamples
from overunlearn_jax.auditing.crafting import Crafter
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.reporting import read_rows
from overunlearn_jax.services.service import After, Deletion
from overunlearn_jax.types import Key, Splits

MakeConfig = Callable[..., Config]


class Ready(NamedTuple):
    """What a run holds after pushing, before the first request."""

    splits: Splits
    victim: Victim
    black_box: BlackBox
    crafted: AttackerSamples
    crafter: Crafter
    count: int  # samples of the largest request


def ready(config: Config) -> Ready:
    """What `pipeline.push_seed` gives, and what makes requests of it."""
    seed = config.run.seeds[0]
    made = pipeline.push_seed(config, seed)
    settings = pipeline.request_settings(config.attack)
    crafter = Crafter(settings, made.black_box, made.splits, made.classes, made.chosen, seed, made.keys.noise)
    return Ready(made.splits, made.victim, made.black_box, made.chosen, crafter, len(made.chosen.samples.labels))


def victim_of(config: Config, splits: Splits, seed: int, key: Key) -> Victim:
    """The victim that a run of these settings attacks."""
    return train_or_find(config.victim, config.service, config.run, splits, seed, key)


def meter_of(config: Config, victim: Victim, splits: Splits, key: Key, memo: Memo | None = None) -> ForgettingMeter:
    """What measures forgetting of class 0 in a run of these settings."""
    return ForgettingMeter(config.measures, config.victim, config.run.cache_dir, victim, splits, 0, key, memo or Memo())


def as_deployed(victim: Victim) -> After:
    """A deletion that changed nothing."""
    return After(Deletion(0.0), victim.service.predict, victim.service.variables)


def rows_of(config: Config) -> list[dict]:
    return read_rows(Path(config.run.workdir) / "results.jsonl")


def by_attack(config: Config) -> dict[str, dict]:
    """Rows of a run with one fraction, seed and variant."""
    rows = rows_of(config)
    found = {row["attack"]: row for row in rows}
    assert len(found) == len(rows)
    return found


class CalledError(Exception):
    """Raised by what must not, or must, be called."""


def refuse(*arguments: object, **settings: object) -> None:
    del arguments, settings  # Unused: the call alone counts.
    raise CalledError
