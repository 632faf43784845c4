"""Who is trained on what, and the training: until a model knows its samples, or there is nothing to forget."""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from experiments.config import Config
from experiments.run.keys import seed_keys
from experiments.run.locks import one_at_a_time
from experiments.run.progress import TrainingBar
from experiments.victims.cache import ingredients_of, settings_of
from overunlearn_jax import checkpoint
from overunlearn_jax.data import take
from overunlearn_jax.files import settings_hash, write_json
from overunlearn_jax.forgetting import shadow_subsets
from overunlearn_jax.training import fit
from overunlearn_jax.types import Key, Split, Splits, Variables

FINISHED = "last"  # of a model's folder: its weights, once it is trained


class Audited(NamedTuple):
    """One seed's samples."""

    splits: Splits  # `train` is what all models share
    samples: Split  # audited, all of class A
    inside: np.ndarray  # shape=(models, samples), dtype=bool: which model is trained on which

    def own(self, number: int) -> Split:
        """The audited samples that one model is trained on, and forgets."""
        return take(self.samples, np.flatnonzero(self.inside[number]))

    def splits_of(self, number: int) -> Splits:
        """What one model is trained on."""
        train = Split(*map(np.concatenate, zip(self.splits.train, self.own(number), strict=True)))
        return self.splits._replace(train=train)


def audited(splits: Splits, class_a: int, models: int, requested: int, train_samples: int, key: Key) -> Audited:
    """Draws twice `requested` samples of class A to audit, and what all models share, to `train_samples` for each.

    Raises ValueError for more samples than there are, and for an odd number of models.
    """
    if models % 2:
        raise ValueError(f"--models={models}: expected an even number, each sample is known to half of them")
    draw, share, halves = jax.random.split(key, 3)
    rows = np.flatnonzero(splits.train.labels == class_a)
    count = 2 * requested
    if count > len(rows):
        raise ValueError(
            f"--requested={requested}: {count} samples of class A are audited, and there are {len(rows)} in the "
            f"training part; give {len(rows) // 2} at most"
        )
    chosen = np.sort(np.asarray(jax.random.permutation(draw, rows))[:count])
    others = np.setdiff1d(np.arange(len(splits.train.labels)), chosen)
    shared = train_samples - requested
    if not 0 < shared <= len(others):
        raise ValueError(
            f"--train_samples={train_samples}: expected {requested + 1} ... {len(others) + requested}, the requested "
            "samples and at least one more"
        )
    kept = np.sort(np.asarray(jax.random.permutation(share, others))[:shared])
    return Audited(
        splits._replace(train=take(splits.train, kept)),
        take(splits.train, chosen),
        shadow_subsets(halves, count, models),
    )


def trained_first(config: Config, seed: int, audit: Audited) -> list[int]:
    """The numbers of all models, those that need no training before the others."""
    numbers = range(len(audit.inside))
    return sorted(numbers, key=lambda number: not (_folder(config, seed, audit, number) / FINISHED).exists())


def train_or_find(config: Config, seed: int, audit: Audited, number: int) -> Variables:
    """One model, of the epoch with the lowest *training* loss; kept in the cache."""
    splits, key = audit.splits_of(number), jax.random.fold_in(seed_keys(seed).train, number)
    ingredients, directory = ingredients_of(config.victim, splits), _folder(config, seed, audit, number)
    model = ingredients.architecture
    finished, words = directory / FINISHED, f"model {number + 1} of {len(audit.inside)}"
    if not finished.exists():
        with one_at_a_time(directory, words), TrainingBar(words) as bar:
            if not finished.exists():  # nobody has trained it meanwhile
                write_json(directory / "settings.json", _settings(config, seed, audit, number))
                known = splits._replace(validation=splits.train)
                variables = fit(
                    model, known, ingredients.train, key, directory=directory / "epochs", on_step=bar.update
                )
                checkpoint.save(finished, variables)
    loaded: Variables = checkpoint.load(finished, jax.eval_shape(model.init, key))
    return loaded


def _settings(config: Config, seed: int, audit: Audited, number: int) -> dict[str, object]:
    """All that decides a model's weights."""
    return settings_of(config.victim, audit.splits_of(number), seed) | {"u_lira_model": number}


def _folder(config: Config, seed: int, audit: Audited, number: int) -> Path:
    return Path(config.run.cache_dir) / "u_lira" / settings_hash(_settings(config, seed, audit, number))
