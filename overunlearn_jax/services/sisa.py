"""SISA as a service: an ensemble that was trained so that it can forget exactly."""

import functools
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from overunlearn_jax.models import Model, predict_fn
from overunlearn_jax.services.local import check_requests
from overunlearn_jax.services.service import After, Deletion
from overunlearn_jax.training import TrainSettings
from overunlearn_jax.types import DatasetSpec, Key, PredictFn, Request, Split, Variables
from overunlearn_jax.unlearn.call import check_request
from overunlearn_jax.unlearn.matching import NearestRows, without
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
from overunlearn_jax.unlearn.work import count_gradients, counting

SlicesProgress = Callable[[str, SisaSettings, int], AbstractContextManager[Callable[[SisaProgress], None]]]
_ensemble = functools.cache(sisa_model)  # the same functions for every seed, so that JAX compiles once


class Sharding(NamedTuple):
    """How an ensemble is trained, and how its members answer as one."""

    settings: SisaSettings
    aggregation: str


class SisaService:
    """An ensemble of shards. It deletes, for each submitted image, the training sample that is nearest to it.

    Args:
      spec: the images that it takes, and its classes.
      base: the model of each shard.
      sisa: the trained shards.
      sharding: what they were trained with.
      train: what they were trained on.
      key: what they were trained with, too.
      directory: where slices are kept, the trained ones and those that deletions train anew.
      progress: called with words, settings and the number of training samples; a context that gives what is to be
        called after each training step.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        base: Model,
        sisa: Sisa,
        sharding: Sharding,
        train: Split,
        key: Key,
        directory: Path,
        progress: SlicesProgress,
    ):
        self.spec, self.base = spec, base
        self.model = _ensemble(base, sharding.settings.shards, sharding.aggregation)
        self._sisa, self._settings, self._train, self._key = sisa, sharding.settings, train, key
        self._directory, self._progress, self._nearest = directory, progress, NearestRows(train)

    @property
    def variables(self) -> Variables:
        """Of the ensemble."""
        return sisa_variables(self._sisa)

    @property
    def predict(self) -> PredictFn:
        """Images to probabilities, fused into attacks."""
        return predict_fn(self.model, self.variables)

    @contextmanager
    def after(self, requests: Sequence[Request], key: Key) -> Iterator[After]:
        """The ensemble without the training samples that the requests' images are nearest to, one after the other.

        Raises:
          ValueError: no request, a wrong one, and one of a class that was never trained on.
        """
        del key  # Unused: the service's own decides.
        check_requests(requests, self._train, self.spec)
        left, held, seconds, gradients, matched = self._sisa, self._train, 0.0, 0, []
        for request in requests:
            check_request(self.model, self.variables, request.images, request.labels)
            nearest = self._nearest(request.images, held)
            matched.append(held.ids[nearest])
            began = time.perf_counter()
            with counting() as work:
                left, held = self._without(left, held, np.unique(nearest))
            seconds += time.perf_counter() - began
            gradients += work.gradient_evaluations
        variables = sisa_variables(left)
        yield After(Deletion(seconds, np.concatenate(matched), gradients), predict_fn(self.model, variables), variables)

    def _without(self, sisa: Sisa, held: Split, rows: np.ndarray) -> tuple[Sisa, Split]:
        """What is left without `rows` of what is held; slices that were trained for it before are found again."""
        kept = without(held, rows)
        gone = np.flatnonzero(~np.isin(self._train.ids, kept.ids))
        folder = self._directory / f"without_{hashlib.blake2b(gone.tobytes(), digest_size=8).hexdigest()}"
        with self._progress("sisa, at most", self._settings, len(held.labels)) as update:

            def trained(progress: SisaProgress) -> None:
                count_gradients(progress.images)  # none for slices that the folder holds
                update(progress)

            left, _ = forget(self.base, sisa, held, rows, self._settings, self._key, directory=folder, on_step=trained)
        return left, kept


def train_sisa(
    spec: DatasetSpec,
    base: Model,
    train: Split,
    sharding: Sharding,
    key: Key,
    directory: Path,
    progress: SlicesProgress,
) -> SisaService:
    """Trains the slices that the directory does not hold. Raises what `fit_sisa` does."""
    with progress("sisa", sharding.settings, len(train.labels)) as update:
        sisa = fit_sisa(base, train, sharding.settings, key, directory=directory / "slices", on_step=update)
    return SisaService(spec, base, sisa, sharding, train, key, directory, progress)


def read_sharding(settings: Mapping[str, str], train: TrainSettings) -> Sharding:
    """Settings such as {"shards": "5", "slices": "4", "epochs": "10", "aggregation": "mean"}; the rest from `train`.

    Raises:
      ValueError: settings that SISA does not have, or that cannot be read.
    """
    as_the_victim = SisaSettings(epochs=train.epochs, learning_rate=train.learning_rate, batch_size=train.batch_size)
    known: dict[str, Any] = {**as_the_victim._asdict(), "aggregation": AGGREGATIONS[0]}
    unknown = sorted(settings.keys() - known.keys())
    if unknown:
        raise ValueError(f"sisa has no setting {', '.join(unknown)}; expected some of {', '.join(known)}")
    for name, text in settings.items():
        try:
            known[name] = type(known[name])(text)
        except ValueError as error:
            raise ValueError(f"sisa cannot read {name}={text}: expected {type(known[name]).__name__}") from error
    aggregation = known.pop("aggregation")
    check_aggregation(aggregation)
    return Sharding(SisaSettings(**known), aggregation)
