"""A request as gates and identification leave it: what is to be forgotten, and what was decided about each sample."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from overunlearn_jax.defences.gate import Decision, Gate, GateError, View, decide
from overunlearn_jax.defences.identification import Identified, Identify
from overunlearn_jax.services.service import Service
from overunlearn_jax.types import Request


class Piece(NamedTuple):
    """Samples of one request that are forgotten together."""

    request_number: int  # position of the request in its call
    rows: np.ndarray  # shape=(m,), dtype=int64: positions in the request as submitted
    request: Request  # of u samples: those m, or their originals, each once
    places: np.ndarray  # shape=(m,), dtype=int64: which of the u each of the m asked for


class Examined(NamedTuple):
    """One request, of which some samples are left; maybe none."""

    piece: Piece
    decisions: list[tuple[np.ndarray, Decision, float]]  # the samples decided about (positions), and the seconds


def examined(
    gates: Sequence[Gate], identify: Identify | None, number: int, request: Request, service: Service, owner: str
) -> Examined:
    """Every gate is asked about all samples, and then the identification about those that all gates accept.

    `number` is the request's position in its call. Raises GateError for a gate that raises, or that answers no decision
    about these samples.
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
        return Examined(Piece(number, rows, left, np.arange(len(rows))), decisions)
    began = time.perf_counter()
    found = _identified(identify, left, view)
    decisions.append((rows, found.decision, time.perf_counter() - began))
    known = found.decision.accepted
    once = {original: place for place, original in enumerate(dict.fromkeys(found.rows[known].tolist()))}
    places = np.array([once[original] for original in found.rows[known].tolist()], np.int64)
    return Examined(Piece(number, rows[known], found.request, places), decisions)


def _identified(identify: Identify, request: Request, view: View) -> Identified:
    found: list[Identified] = []

    def as_gate(asked: Request, seen: View) -> Decision:
        found.append(identify(asked, seen))
        return found[0].decision

    name = getattr(identify, "__name__", type(identify).__name__)
    as_gate.__name__ = name
    [decision] = decide([as_gate], request, view)
    originals = len(set(np.asarray(found[0].rows)[decision.accepted].tolist()))
    if not len(found[0].request.labels) == len(found[0].request.images) == originals:
        raise GateError(
            f"{name} gives {len(found[0].request.labels)} originals and names {originals}: expected each that it "
            "found, once, in the order asked"
        )
    return found[0]


def halves(piece: Piece, smallest: int) -> list[Piece]:
    """Its first and second half; none of a piece of one sample, or of no more than `smallest`."""
    count = len(piece.request.labels)
    if count <= smallest or count < 2:
        return []
    cut, parts = count // 2, []
    for first, last in ((0, cut), (cut, count)):
        of_part = (piece.places >= first) & (piece.places < last)
        request = _taken(piece.request, np.arange(first, last))
        parts.append(Piece(piece.request_number, piece.rows[of_part], request, piece.places[of_part] - first))
    return parts


def _taken(request: Request, rows: np.ndarray) -> Request:
    return Request(np.asarray(request.images)[rows], np.asarray(request.labels)[rows])
