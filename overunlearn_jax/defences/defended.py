"""A service behind its defences: gates, identification, a bound on the step and a monitor, in that order.

safe = ou.defended(service, gates=[no_stranger], bound=StepBound(data.train, key), monitor=Monitor(...))
ou.audit(safe, data, class_a="cat")            # any `Service` goes where any other does
safe.records[-1].decision.why                  # and says what it decided, and why
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np

from overunlearn_jax.defences.bounded_service import BoundedService
from overunlearn_jax.defences.budgets import KeepsLedger
from overunlearn_jax.defences.examination import Piece, examined
from overunlearn_jax.defences.gate import Decision, Gate
from overunlearn_jax.defences.honest_steps import StepBound
from overunlearn_jax.defences.identification import Identify
from overunlearn_jax.defences.monitor import Monitor, Verdict, Watcher
from overunlearn_jax.defences.records import Record, refused_in
from overunlearn_jax.defences.release import Released, released
from overunlearn_jax.services.around import AroundService
from overunlearn_jax.services.service import (
    After,
    CountsSent,
    Deletion,
    HasWeights,
    MayLackUndo,
    Service,
    Variant,
)
from overunlearn_jax.types import Key, Request


class DefendedService(AroundService):
    """A `Service` and a `Sweep`, with weights where the one behind has them.

    Args:
      service: what is defended.
      gates: asked about each request as submitted; a sample that one of them refuses is not forgotten.
      identify: looks up which originals the accepted samples are; those are forgotten in their place, and what is not
        found is refused.
      bound: on the length of the step; for a service with weights.
      monitor: looks at each model before it is released. What it rolls back leaves the service as it was.
      owner: whose requests these are, for gates that tell users apart.

    `records` has every decision, in their order. A ledger that a gate keeps is put back when `after` is left, as the
    service is.

    Raises:
      ValueError: settings out of range; a monitor that releases parts of a service that forgets in several ways at
        once.
      CalibrationError: an empty calibration set.
    """

    def __init__(
        self,
        service: Service,
        gates: Sequence[Gate] = (),
        identify: Identify | None = None,
        monitor: Monitor | None = None,
        *,
        bound: StepBound | None = None,
        owner: str = "",
    ):
        super().__init__(service if bound is None else BoundedService(service, bound))
        self._gates, self._identify, self._owner = tuple(gates), identify, owner
        self._watcher = None if monitor is None else Watcher(monitor, self._service)
        if monitor is not None and monitor.in_parts and len(self.variants) > 1:
            raise ValueError(
                f"a monitor that releases parts, and a service that forgets in {len(self.variants)} ways at once: each "
                "would release others; give one rate and one reading, or in_parts=False"
            )
        self.records: list[Record] = []
        self._calls = 0
        if isinstance(service, HasWeights):
            self.model, self.variables = service.model, service.variables
        if isinstance(service, MayLackUndo):
            self.no_undo = service.no_undo
        if isinstance(service, CountsSent):
            self.sent = _Sent(service)

    @property
    def decisions(self) -> list[Decision]:
        """Those of `records`."""
        return [record.decision for record in self.records]

    @contextmanager
    def after_each(self, requests: Sequence[Request], key: Key) -> Iterator[Mapping[Variant, After]]:
        """`Service.after` of what the defences let through, for every variant.

        A request of which nothing is left leaves the service as it is; `Deletion.refused` says how many samples were
        refused, by whom and why.

        Raises:
          GateError: a gate fails. This and the others before anything is forgotten.
          CalibrationError: honest requests to compare with cannot be had.
          ValueError: no request.
        """
        if not requests:
            raise ValueError("no request is given: there is nothing to forget")
        call, self._calls = self._calls, self._calls + 1
        counts = [len(request.labels) for request in requests]
        with ExitStack() as stack:
            for gate in self._gates:
                if isinstance(gate, KeepsLedger):
                    stack.callback(setattr, gate, "ledger", gate.ledger)
            pieces = [piece for number, request in enumerate(requests) for piece in self._passed(call, number, request)]
            if not pieces:
                left: Mapping[Variant, Released] = {
                    variant: Released((), After(Deletion(0.0, gradient_evaluations=0), None))
                    for variant in self.variants
                }
            else:
                note = partial(self._note, call)
                left = stack.enter_context(released(self._service, self._watcher, pieces, key, note))
            yield {variant: self._told(call, counts, variant, each) for variant, each in left.items()}

    def _passed(self, call: int, number: int, request: Request) -> list[Piece]:
        """What gates and identification leave of one request."""
        found = examined(self._gates, self._identify, number, request, self._service, self._owner)
        for rows, decision, seconds in found.decisions:
            self.records.append(Record(call, number, rows, None, decision, seconds))
        return [found.piece] if len(found.piece.rows) else []

    def _note(self, call: int, piece: Piece, variant: Variant, verdict: Verdict, seconds: float) -> None:
        accepted, scores = (np.full(len(piece.rows), value) for value in (verdict.released, verdict.score))
        decision = Decision("monitor", accepted, scores, verdict.threshold, verdict.why)
        self.records.append(Record(call, piece.request_number, piece.rows, variant, decision, seconds))

    def _told(self, call: int, counts: Sequence[int], variant: Variant, left: Released) -> After:
        """What is left, with what was refused and the samples that it took the accepted ones for."""
        gone = [np.zeros(0, np.int64) for _ in counts]
        for piece in left.pieces:
            gone[piece.request_number] = np.append(gone[piece.request_number], piece.rows)
        refused = refused_in([each for each in self.records if each.call == call], counts, variant, gone)
        deletion = left.after.deletion
        if not left.pieces:
            variables = self.variables if isinstance(self, HasWeights) else None
            deletion = deletion._replace(matched_ids=None, diverged="", refused=refused)
            return After(deletion, self.predict, variables)
        ids = deletion.matched_ids
        if ids is not None:
            starts = np.cumsum([0, *counts])
            spread = np.full(starts[-1], -1, np.int64)
            for piece in left.pieces:
                own, ids = ids[: len(piece.request.labels)], ids[len(piece.request.labels) :]
                if len(own):  # a deletion that diverged names those of the first requests alone
                    spread[starts[piece.request_number] + piece.rows] = own[piece.places]
            deletion = deletion._replace(matched_ids=spread)
        return left.after._replace(deletion=deletion._replace(refused=refused))


class _Sent:
    """What was sent so far, as text, whenever it is asked for."""

    def __init__(self, service: CountsSent):
        self._service = service

    def __str__(self) -> str:
        return str(self._service.sent)


def defended(
    service: Service,
    gates: Sequence[Gate] = (),
    identify: Identify | None = None,
    monitor: Monitor | None = None,
    *,
    bound: StepBound | None = None,
    owner: str = "",
) -> DefendedService:
    """The service behind these defences; see `DefendedService` for each, and for what is raised."""
    return DefendedService(service, gates, identify, monitor, bound=bound, owner=owner)
