"""A JAX model that forgets by an unlearning method: nothing of it changes, so there is nothing to bring back."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import jax
import numpy as np

from overunlearn_jax.models import Model, predict_fn
from overunlearn_jax.services.service import After, Deletion
from overunlearn_jax.types import DatasetSpec, DivergedError, Key, PredictFn, Request, Split, Variables
from overunlearn_jax.unlearn.call import UnlearnFn
from overunlearn_jax.unlearn.matching import NearestRows, without
from overunlearn_jax.unlearn.work import counting


class LocalService:
    """A JAX model and a method of `overunlearn_jax.unlearn`, or a function of the same signature.

    Args:
      spec: the images that the model takes, and its classes.
      model: two pure functions.
      variables: its trained weights.
      method: called with (model, variables, images, labels, key, retain).
      train: the training data that the server still holds. With it, requests of a class that the model never saw are
        refused, and a method is given as `retain` what the submitted images are not nearest to. None: it holds none.
      gives_retained: whether the method is given that; finding it costs a search by L2 for every request.
      counts_work: whether the gradients that the method counts are to be reported; a user's own are not seen.
      progress: entered while the method runs.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        model: Model,
        variables: Variables,
        method: UnlearnFn,
        *,
        train: Split | None = None,
        gives_retained: bool = True,
        counts_work: bool = True,
        progress: AbstractContextManager[object] | None = None,
    ):
        self.spec, self.model, self.variables = spec, model, variables
        self._method, self._train, self._nearest = method, train, NearestRows(train)
        self._gives_retained, self._counts_work = gives_retained, counts_work
        self._progress = progress or nullcontext()

    @property
    def predict(self) -> PredictFn:
        """Images to probabilities, fused into attacks."""
        return predict_fn(self.model, self.variables)

    @contextmanager
    def after(self, requests: Sequence[Request], key: Key) -> Iterator[After]:
        """The model once the method has forgotten the requests one after the other.

        The first request has the key itself, each later one a key folded from it. Raises ValueError for no request,
        and for one of a class that the model never saw.
        """
        check_requests(requests, self._train, self.spec)
        held, variables = self._train, self.variables
        state = _Progress(0.0, [], 0)
        for number, request in enumerate(requests):
            retain, matched = self._retained(request, held)
            began = time.perf_counter()
            try:
                with counting() as work, self._progress:
                    step_key = key if number == 0 else jax.random.fold_in(key, number)
                    variables = self._method(self.model, variables, request.images, request.labels, step_key, retain)
                    jax.block_until_ready(variables)
            except DivergedError as error:  # of this request; the next one may go well
                state = state.add(time.perf_counter() - began, matched, 0)
                yield After(state.deletion(counts_work=False, diverged=str(error)), None)
                return
            state = state.add(time.perf_counter() - began, matched, work.gradient_evaluations)
            held = held if retain is None else retain
        yield After(state.deletion(counts_work=self._counts_work), predict_fn(self.model, variables), variables)

    def _retained(self, request: Request, held: Split | None) -> tuple[Split | None, np.ndarray | None]:
        """The training data without what the submitted images are nearest to, and the ids of that."""
        if held is None or not self._gives_retained:
            return None, None
        rows = self._nearest(request.images, held)
        return without(held, rows), held.ids[rows]


class _Progress(NamedTuple):
    seconds: float
    matched: list[np.ndarray]
    gradient_evaluations: int

    def add(self, seconds: float, matched: np.ndarray | None, gradients: int) -> "_Progress":
        own = [] if matched is None else [matched]
        return _Progress(self.seconds + seconds, [*self.matched, *own], self.gradient_evaluations + gradients)

    def deletion(self, *, counts_work: bool, diverged: str = "") -> Deletion:
        return Deletion(
            self.seconds,
            np.concatenate(self.matched) if self.matched else None,
            self.gradient_evaluations if counts_work else None,
            diverged,
        )


def check_requests(requests: Sequence[Request], train: Split | None, spec: DatasetSpec) -> None:
    """Raises ValueError for no request, and for labels of a class that the training data has no sample of."""
    if not requests:
        raise ValueError("no request is given: there is nothing to forget")
    if train is None:
        return
    unseen = np.setdiff1d(np.concatenate([np.asarray(request.labels) for request in requests]), train.labels)
    if len(unseen) == 0:
        return
    names = [spec.class_names[label] if 0 <= label < spec.num_classes else f"number {label}" for label in unseen]
    held = ", ".join(spec.class_names[label] for label in np.unique(train.labels))
    raise ValueError(
        f"the request names the class {', '.join(names)}, which the model never saw; expected some of those that it "
        f"was trained on: {held}"
    )
