"""The wall around what is attacked and audited: all that a pipeline, or an audit, knows of a victim.

    service = ou.service(spec=spec, predict=my_predict, forget=my_forget, reset=my_reset)  # any framework
    with service.after([Request(images, labels)], key) as left:                            # it has forgotten them
        left.predict(test_images)
                                                                                           # and is itself again

What a service may offer beside these has a protocol of its own: rates swept in one call, weights, a count of what was
sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from overunlearn_jax.models import Model
from overunlearn_jax.types import DatasetSpec, Key, PredictFn, Request, Variables


class Variant(NamedTuple):
    """One way of a service to forget."""

    fidelity: str  # a reading of the paper, a key of `unlearn.FIDELITIES`; "none" for a method that has none
    tau: float | None  # its rate; None for a method without one


ONLY = Variant("none", None)  # of a service that forgets in one way


class Refused(NamedTuple):
    """What a service's defences refused of a deletion."""

    samples: int  # all told; they are not forgotten
    by: Mapping[str, int]  # samples by the name of the gate; one that two gates refuse counts for both
    why: str  # in a line; empty where nothing was refused


class Deletion(NamedTuple):
    """What a service says of a deletion that it has carried out."""

    seconds: float  # wall time of forgetting alone; that of variants made in one call is shared out
    # shape=(n,), dtype=int64: `Split.ids` it took each image for, -1 for one that was refused; None: unsaid
    matched_ids: np.ndarray | None = None
    gradient_evaluations: int | None = None  # None: nobody counted
    diverged: str = ""  # why no model is left; empty: there is one
    refused: Refused | None = None  # None: the service has no defences, or does not say
    step_kept: float | None = None  # fraction of the step's length that a bound left; None: it has no bound


class After(NamedTuple):
    """A service once it has forgotten; valid inside the `with` block that gave it."""

    deletion: Deletion
    predict: PredictFn | None  # None: the deletion diverged, and nothing is left to ask
    variables: Variables | None = None  # of a service that offers its weights


class Service(Protocol):
    """What is attacked and audited."""

    @property
    def spec(self) -> DatasetSpec:
        """The images that it takes, and its classes."""

    @property
    def predict(self) -> PredictFn:
        """(n, h, w, c) to (n, k); a `jax.tree_util.Partial` for a JAX model, so that attacks stay fused."""

    def after(self, requests: Sequence[Request], key: Key) -> AbstractContextManager[After]:
        """The service once it has forgotten these requests, in order; leaving the block brings it back."""


@runtime_checkable
class Sweep(Protocol):
    """A service that forgets in several ways at once, such as with several rates, which share a gradient."""

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The ways, in their order."""

    def after_each(self, requests: Sequence[Request], key: Key) -> AbstractContextManager[Mapping[Variant, After]]:
        """`Service.after` for every variant."""


@runtime_checkable
class HasWeights(Protocol):
    """A service that offers its weights: relearning and gradients can be measured."""

    @property
    def model(self) -> Model:
        """Of `variables`."""

    @property
    def variables(self) -> Variables:
        """As deployed."""


@runtime_checkable
class MayLackUndo(Protocol):
    """A service that may have no way back after a deletion."""

    @property
    def no_undo(self) -> str:
        """Why requests cannot be compared; empty where they can."""


@runtime_checkable
class CountsSent(Protocol):
    """A service that counts what was sent to it, what was sent again included."""

    @property
    def sent(self) -> object:
        """So far; its text says it in a line."""


def variants_of(service: Service) -> tuple[Variant, ...]:
    """The ways in which a service forgets."""
    return service.variants if isinstance(service, Sweep) else (ONLY,)


@contextmanager
def after_each(service: Service, requests: Sequence[Request], key: Key) -> Iterator[Mapping[Variant, After]]:
    """The service after the requests, for every variant; leaving the block brings it back."""
    if isinstance(service, Sweep):
        with service.after_each(requests, key) as left:
            yield left
        return
    with service.after(requests, key) as only:
        yield {ONLY: only}


@contextmanager
def after_only(service: Sweep, requests: Sequence[Request], key: Key) -> Iterator[After]:
    """`Service.after` of a sweep that forgets in one way. Raises ValueError where there are several."""
    if len(service.variants) != 1:
        raise ValueError(f"this service forgets in {len(service.variants)} ways: use after_each, or give one rate")
    with service.after_each(requests, key) as left:
        yield left[service.variants[0]]
