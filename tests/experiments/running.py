"""What the tests of whole runs share: a run up to its pushes, its rows, and calls that must not happen."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from experiments import pipeline
from experiments.config import Config
from experiments.requests.crafting import AttackerSamples, Classes, Crafter, choose_and_push
from experiments.victims.cache import Victim, train_or_find
from overunlearn_jax import data
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.reporting import read_rows
from overunlearn_jax.types import Splits

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
    """The first half of `pipeline._run_seed`."""
    seed = config.seeds[0]
    keys = pipeline.seed_keys(seed)
    splits = data.load(config.dataset, seed=seed)
    classes = Classes.of(config, splits.spec)
    victim = train_or_find(config, splits, seed, keys.train)
    black_box = BlackBox(splits.spec, victim.predict, budget=config.query_budget or None)
    crafted = choose_and_push(config, victim.name, black_box, splits, classes, seed, keys.push)
    crafter = Crafter(config, black_box, splits, classes, crafted, seed, keys.noise)
    return Ready(splits, victim, black_box, crafted, crafter, len(crafted.samples.labels))


def rows_of(config: Config) -> list[dict]:
    return read_rows(Path(config.workdir) / "results.jsonl")


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
