"""A request as gates and identification leave it: what is to be forgotten, and what was decided about each sample."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from overunlearn_jax.defences.gate import Decision, Gate, GateError, View, decide
from overunlearn_jax.services.service import Service
from overunlearn_jax.types import Request

# The originals of the samples that it accepts, in their order, and its decision about all of them.
Identify = Callable[[Request, View], tuple[Request, Decision]]


class Examined(NamedTuple):
    """One request of n samples, of which m are left."""

    request: Request  # what is to be forgotten: the m samples, or their originals
    rows: np.ndarray  # shape=(m,), dtype=int64: positions in the request as submitted
    decisions: list[tuple[np.ndarray, Decision, float]]  # the samples decided about (positions), and the seconds


class Piece(NamedTuple):
    """Samples of one request that are forgotten together."""

    request_number: int  # position of the request in its call
    rows: np.ndarray  # shape=(m,), dtype=int64: positions in the request as submitted
    request: Request  # of m samples


def examined(
    gates: Sequence[Gate], identify: Identify | None, request: Request, service: Service, owner: str
) -> Examined:
    """Every gate is asked about all samples, and then the identification about those that all gates accept.

    Raises GateError for a gate that raises, or that answers no decision about these samples.
    """
    view = View(service.spec, service.predict, owner=owner)
    everything, decisions = np.arange(len(request.labels)), []
    accepted = np.ones(len(everything), bool)
    for gate in gates:
        began = time.perf_counter()
        [decision] = decide([gate], request, view)
        decisions.append((everything, decision, time.perf_counter() - began))
        accepted &= decision.accepted
    rows = np.flatnonzero(accepted)
    left = request if accepted.all() else _taken(request, rows)
    if identify is None or not len(rows):
        return Examined(left, rows, decisions)
    began = time.perf_counter()
    originals, decision = _identified(identify, left, view)
    decisions.append((rows, decision, time.perf_counter() - began))
    return Examined(originals, rows[decision.accepted], decisions)


def _identified(identify: Identify, request: Request, view: View) -> tuple[Request, Decision]:
    found: list[Request] = []

    def as_gate(asked: Request, seen: View) -> Decision:
        originals, decision = identify(asked, seen)
        found.append(originals)
        return decision

    as_gate.__name__ = getattr(identify, "__name__", type(identify).__name__)
    [decision] = decide([as_gate], request, view)
    if len(found[0].labels) != decision.accepted.sum() or len(found[0].images) != decision.accepted.sum():
        raise GateError(
            f"{as_gate.__name__} found {len(found[0].labels)} originals of {decision.accepted.sum()} accepted samples: "
            "expected one for each, in their order"
        )
    return found[0], decision


def halves(piece: Piece, smallest: int) -> list[Piece]:
    """Its first and second half; none of a piece of one sample, or of no more than `smallest`."""
    count = len(piece.rows)
    if count <= smallest or count < 2:
        return []
    parts = np.arange(count // 2), np.arange(count // 2, count)
    return [piece._replace(rows=piece.rows[part], request=_taken(piece.request, part)) for part in parts]


def _taken(request: Request, rows: np.ndarray) -> Request:
    return Request(np.asarray(request.images)[rows], np.asarray(request.labels)[rows])
