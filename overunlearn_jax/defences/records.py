"""What was decided about a request, for whoever is to explain it: a record for each gate, part and way to forget."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from overunlearn_jax.defences.gate import Decision
from overunlearn_jax.services.service import Refused, Variant


class Record(NamedTuple):
    """One decision about some samples of one request."""

    call: int  # of the service's `after`, counted from 0
    request: int  # position of the request in that call
    rows: np.ndarray  # shape=(m,), dtype=int64: the samples decided about, positions in the request as submitted
    variant: Variant | None  # the way to forget that it is about; None: all
    decision: Decision  # of these m samples
    seconds: float  # that it took, calibration included


def refused_in(
    records: Sequence[Record], counts: Sequence[int], variant: Variant, gone: Sequence[np.ndarray]
) -> Refused:
    """What the records of one call say was refused.

    Args:
      records: of this call.
      counts: samples in each request as submitted.
      variant: the way to forget.
      gone: for each request, shape=(m,), dtype=int64: positions of the samples that were forgotten.
    """
    refused: dict[str, list[np.ndarray]] = {}
    why: dict[str, str] = {}  # the last word of each
    for record in records:
        if record.variant not in (None, variant):
            continue
        no = np.setdiff1d(record.rows[~np.asarray(record.decision.accepted)], gone[record.request])
        if len(no):
            known = refused.setdefault(record.decision.gate, [np.zeros(0, np.int64) for _ in counts])
            known[record.request] = np.union1d(known[record.request], no)
            why[record.decision.gate] = record.decision.why
    by = {gate: sum(len(rows) for rows in of_gate) for gate, of_gate in refused.items()}
    lines = [f"{number} of {sum(counts)} samples refused by {gate}: {why[gate]}" for gate, number in by.items()]
    return Refused(sum(counts) - sum(len(rows) for rows in gone), by, "; ".join(lines))
