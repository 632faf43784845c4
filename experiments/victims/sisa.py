"""A victim that was trained to be unlearned: SISA's shards and slices, and how it forgets."""

import functools
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.config import Config
from experiments.run.progress import SlicesBar
from overunlearn_jax.models import Model
from overunlearn_jax.types import Images, Key, Labels, Split, Variables
from overunlearn_jax.unlearn import read_settings
from overunlearn_jax.unlearn.call import check_request, retained
from overunlearn_jax.unlearn.sisa import (
    AGGREGATIONS,
    Sisa,
    SisaProgress,
    SisaSettings,
    check_aggregation,
    fit_sisa,
    forget,
    sisa_model,
    sisa_variables,
)
from overunlearn_jax.unlearn.work import count_gradients

_ensemble = functools.cache(sisa_model)  # the same functions for every seed, so that JAX compiles once


class SisaVictim(NamedTuple):
    """The trained ensemble, and what it needs to forget."""

    base: Model  # of each shard
    model: Model  # all of them as one
    settings: SisaSettings
    sisa: Sisa
    train: Split
    key: Key
    directory: Path

    @property
    def variables(self) -> Variables:
        """Of the ensemble."""
        return sisa_variables(self.sisa)

    def unlearn(
        self,
        model: Model,
        variables: Variables,
        images: Images,
        labels: Labels,
        key: Key,
        retain: Split | None = None,
    ) -> Variables:
        """The ensemble without the training samples that `retain` lacks; an `UnlearnFn`.

        Raises ValueError for a wrong request, and without retained data.
        """
        del key  # Unused: the service's own decides.
        classes = check_request(model, variables, images, labels)
        rows = np.flatnonzero(~np.isin(self.train.ids, retained("sisa", retain, classes).ids))
        name = hashlib.blake2b(rows.tobytes(), digest_size=8).hexdigest()
        folder = self.directory / f"without_{name}"
        with SlicesBar("sisa, at most", self.settings, len(self.train.labels)) as bar:

            def trained(progress: SisaProgress) -> None:
                count_gradients(progress.images)  # none for slices that the folder holds
                bar.update(progress)

            left, _ = forget(
                self.base, self.sisa, self.train, rows, self.settings, self.key, directory=folder, on_step=trained
            )
        return sisa_variables(left)


def train_or_find_sisa(
    base: Model, train: Split, settings: SisaSettings, aggregation: str, key: Key, folder: Path
) -> SisaVictim:
    """Trains the slices that the folder does not hold."""
    with SlicesBar("sisa", settings, len(train.labels)) as bar:
        sisa = fit_sisa(base, train, settings, key, directory=folder / "slices", on_step=bar.update)
    return SisaVictim(base, _ensemble(base, settings.shards, aggregation), settings, sisa, train, key, folder)


def sisa_settings(config: Config) -> tuple[SisaSettings, str]:
    """`--method_settings` such as shards=5,slices=4,epochs=10,aggregation=mean; the rest from the victim's flags.

    Raises ValueError for settings that SISA does not have, or that cannot be read.
    """
    as_the_victim = SisaSettings(epochs=config.epochs, learning_rate=config.learning_rate, batch_size=config.batch_size)
    known: dict[str, Any] = {**as_the_victim._asdict(), "aggregation": AGGREGATIONS[0]}
    given = read_settings(config.method_settings)
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise ValueError(f"sisa has no setting {', '.join(unknown)}; expected some of {', '.join(known)}")
    for name, text in given.items():
        try:
            known[name] = type(known[name])(text)
        except ValueError as error:
            raise ValueError(f"sisa cannot read {name}={text}: expected {type(known[name]).__name__}") from error
    aggregation = known.pop("aggregation")
    check_aggregation(aggregation)
    return SisaSettings(**known), aggregation
