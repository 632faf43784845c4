"""A JAX model that forgets with several rates at once: they share a gradient, and the passes of their evaluation."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.models import Model, predict_fn
from overunlearn_jax.services.local import check_requests
from overunlearn_jax.services.service import After, Deletion, Variant, after_only
from overunlearn_jax.types import DatasetSpec, Images, Key, Labels, PredictFn, Request, Split, Variables
from overunlearn_jax.unlearn.work import counting


class SweepFn(Protocol):
    """One reading of a method, for several rates in one call."""

    def __call__(
        self, taus: np.ndarray, model: Model, variables: Variables, images: Images, labels: Labels, key: Key
    ) -> Variables:
        """Variables whose params have a leading axis of rates: `taus` has shape (t,), dtype float64."""


class SweepService:
    """A JAX model, readings of one method, and rates.

    Args:
      spec: the images that the model takes, and its classes.
      model: two pure functions.
      variables: its trained weights.
      readings: by their names, keys of `unlearn.FIDELITIES`.
      taus: rates; every reading has all of them.
      train: the training data that the server still holds: requests of a class that is not in it are refused.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        model: Model,
        variables: Variables,
        readings: Mapping[str, SweepFn],
        taus: Sequence[float],
        *,
        train: Split | None = None,
    ):
        self.spec, self.model, self.variables = spec, model, variables
        self._readings, self._taus, self._train = dict(readings), tuple(taus), train

    @property
    def predict(self) -> PredictFn:
        """Images to probabilities, fused into attacks."""
        return predict_fn(self.model, self.variables)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Every rate of every reading."""
        return tuple(Variant(fidelity, tau) for fidelity in self._readings for tau in self._taus)

    def clipping_each(self, norm: float) -> "SweepService":
        """The same service, with the gradient of each sample clipped to this L2 norm; infinity clips none."""
        readings: dict[str, Any] = dict(self._readings)
        clipped = {name: partial(reading, clip_each=norm) for name, reading in readings.items()}
        return SweepService(self.spec, self.model, self.variables, clipped, self._taus, train=self._train)

    @contextmanager
    def after(self, requests: Sequence[Request], key: Key) -> Iterator[After]:
        """`Service.after` of a sweep of one. Raises ValueError where there are several variants."""
        with after_only(self, requests, key) as left:
            yield left

    @contextmanager
    def after_each(self, requests: Sequence[Request], key: Key) -> Iterator[Mapping[Variant, After]]:
        """The model after the requests, for every variant.

        The first request has the key itself and one call for all rates of a reading; each later one a key folded from
        it, and a call for each rate. Raises ValueError for no request, and for one of a class that the model never saw.
        """
        check_requests(requests, self._train, self.spec)
        first, *later = requests
        left = {}
        for fidelity, sweep in self._readings.items():
            began = time.perf_counter()
            with counting() as work:
                swept = sweep(np.asarray(self._taus), self.model, self.variables, first.images, first.labels, key)
            jax.block_until_ready(swept)
            seconds = (time.perf_counter() - began) / len(self._taus)
            for index, tau in enumerate(self._taus):
                deletion = Deletion(seconds, gradient_evaluations=work.gradient_evaluations)
                left[Variant(fidelity, tau)] = self._after_later(sweep, tau, deletion, _at(swept, index), later, key)
        yield left

    def _after_later(
        self,
        sweep: SweepFn,
        tau: float,
        deletion: Deletion,
        variables: Variables,
        later: Sequence[Request],
        key: Key,
    ) -> After:
        """One variant after the remaining requests, whose gradients differ by rate."""
        for number, request in enumerate(later, start=1):
            began = time.perf_counter()
            with counting() as work:
                swept = sweep(np.asarray([tau]), self.model, variables, *request, jax.random.fold_in(key, number))
            variables = jax.block_until_ready(_at(swept, 0))
            deletion = Deletion(
                deletion.seconds + time.perf_counter() - began,
                gradient_evaluations=(deletion.gradient_evaluations or 0) + work.gradient_evaluations,
            )
        return After(deletion, predict_fn(self.model, variables), variables)


def _at(swept: Variables, index: int) -> Variables:
    return swept._replace(params=jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], swept.params))
