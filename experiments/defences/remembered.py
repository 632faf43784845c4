"""What the same question gave before: deletions and gates' decisions that several defences share are made once."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import jax
import numpy as np

from overunlearn_jax.defences.gate import Decision, Gate, View
from overunlearn_jax.models import Model
from overunlearn_jax.services.around import AroundService
from overunlearn_jax.services.service import After, HasWeights, Service, Variant, after_each
from overunlearn_jax.types import Key, Request, Variables


def request_digest(requests: Sequence[Request]) -> bytes:
    """Of images and labels, in their order."""
    hasher = hashlib.sha256()
    for request in requests:
        for array in (np.ascontiguousarray(request.images), np.ascontiguousarray(request.labels)):
            hasher.update(f"{array.dtype} {array.shape}".encode())
            hasher.update(array.tobytes())
    return hasher.digest()


class RememberedService(AroundService):
    """A service whose deletions change nothing of it: the same requests with the same key are forgotten once."""

    def __init__(self, service: Service):
        if not isinstance(service, HasWeights):
            raise ValueError("only a local service, which deletes from a copy, can be remembered")
        super().__init__(service)
        self._known = dict[tuple[bytes, bytes], dict[Variant, After]]()
        self.model: Model = service.model
        self.variables: Variables = service.variables

    @contextmanager
    def after_each(self, requests: Sequence[Request], key: Key) -> Iterator[Mapping[Variant, After]]:
        """As of the service behind; models stay valid outside of the block."""
        asked = request_digest(requests), np.asarray(jax.random.key_data(key)).tobytes()
        if asked not in self._known:
            with after_each(self._service, requests, key) as left:
                self._known[asked] = dict(left)
        yield self._known[asked]


def remembered(gate: Gate) -> Gate:
    """The gate, asked once about each request; for gates whose answer depends on the request alone."""
    known: dict[bytes, Decision] = {}

    def asked(request: Request, view: View) -> Decision:
        digest = request_digest([request])
        if digest not in known:
            known[digest] = gate(request, view)
        return known[digest]

    asked.__name__ = getattr(gate, "__name__", type(gate).__name__)
    return asked
