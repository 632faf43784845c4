"""How the service forgets: any method of this package, as a function from one version's weights to the next one's."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from overunlearn_jax.defences.gate import Decision, GateError
from overunlearn_jax.services.service import HasWeights, Service
from overunlearn_jax.types import DivergedError, Key, Request, Split, Splits, Variables
from overunlearn_jax.unlearn.matching import without
from overunlearn_jax.user_code import not_finite


class Forgotten(NamedTuple):
    """What is left, and what the method says of it."""

    variables: Variables
    ids: frozenset[int] | None  # `Split.ids` of the training samples that it took the request for; None: unsaid
    seconds: float
    decisions: Sequence[Decision] = ()  # of defences that look at the outcome, about all samples of the request


class RolledBackError(GateError):
    """A defence that looks at the outcome refused it: nothing is forgotten."""

    def __init__(self, why: str, decisions: Sequence[Decision]):
        super().__init__(why)
        self.decisions = decisions


class Forgetter(Protocol):
    """From one version's weights to the next one's."""

    def __call__(self, variables: Variables, forgotten: frozenset[int], request: Request, key: Key) -> Forgotten:
        """`forgotten`: `Split.ids` that these weights have forgotten before. Raises DivergedError, RolledBackError."""


@runtime_checkable
class Decides(Protocol):
    """A service that says what its defences decided about its one request."""

    @property
    def decisions(self) -> Sequence[Decision]:
        """In their order."""


MakeService = Callable[[Variables, Splits], Service]


class ServiceForgetter:
    """A method around whatever weights are current.

    Args:
      splits: as the model was trained on.
      make: the service of weights and of the data that they still stand for, such as `services.recipes.serve` gives.
    """

    def __init__(self, splits: Splits, make: MakeService):
        self._splits, self._make = splits, make

    def __call__(self, variables: Variables, forgotten: frozenset[int], request: Request, key: Key) -> Forgotten:
        """See `Forgetter`."""
        held = self._splits._replace(train=without(self._splits.train, _rows(self._splits.train, forgotten)))
        return _after(self._make(variables, held), [request], key, 0)


class ReplayingForgetter:
    """A service that was trained for its method, such as SISA's: it is asked for all deletions in their order.

    What it has trained for earlier ones it finds again on its disk. Of equal training images the first one goes.
    """

    def __init__(self, train: Split, service: Service):
        self._train, self._service = train, service

    def __call__(self, variables: Variables, forgotten: frozenset[int], request: Request, key: Key) -> Forgotten:
        """See `Forgetter`."""
        del variables  # Unused: the service's own follow from what was forgotten.
        rows = _rows(self._train, forgotten)
        earlier = [Request(self._train.images[rows], self._train.labels[rows])] if len(rows) else []
        return _after(self._service, [*earlier, request], key, len(rows))


def _after(service: Service, requests: list[Request], key: Key, earlier: int) -> Forgotten:
    with service.after(requests, key) as left:
        deletion, variables = left.deletion, left.variables
    decisions = service.decisions if isinstance(service, Decides) else ()
    if deletion.refused is not None and deletion.refused.samples:
        raise RolledBackError(deletion.refused.why, decisions)
    if variables is None:
        raise DivergedError(deletion.diverged or "the method left no weights")
    if path := not_finite(variables):
        raise DivergedError(f"{path} would hold NaN or infinity: a smaller step may help")
    ids = None if deletion.matched_ids is None else frozenset(map(int, deletion.matched_ids[earlier:]))
    return Forgotten(variables, ids, deletion.seconds, decisions)


def _rows(train: Split, ids: frozenset[int]) -> np.ndarray:
    return np.flatnonzero(np.isin(train.ids, list(ids)))


def check_weights(service: Service) -> HasWeights:
    """Raises ValueError for a service without weights: versions of it could not be kept."""
    if not isinstance(service, HasWeights):
        raise ValueError("this service offers no weights: its versions could not be kept; give a model and a method")
    return service
