"""A gate looks at a request before anything is unlearned, and decides about each sample of it.

It is one function; this one refuses what the model is not sure of:

    def only_confident(request: Request, view: View) -> Decision:
        chosen = np.asarray(view.predict(request.images))[np.arange(len(request.labels)), request.labels]
        return Decision("confident", chosen > 0.5, chosen, 0.5, "the model does not take it for its label")

What one gate refuses is not forgotten, whatever others say.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from overunlearn_jax.types import DatasetSpec, PredictFn, Request


class View(NamedTuple):
    """What a gate may know beside the request."""

    spec: DatasetSpec
    predict: PredictFn  # as deployed
    model_version: str = ""  # of a server that has versions
    owner: str = ""  # of the token that the request came with; empty: nobody is told apart
    by: str = "submission"  # or "identifier": a service that knows which originals are meant


class Decision(NamedTuple):
    """What a gate says of each of the n samples."""

    gate: str  # its name
    accepted: np.ndarray  # shape=(n,), dtype=bool
    scores: np.ndarray  # shape=(n,), dtype=float64; what was compared with the threshold
    threshold: float
    why: str  # what is wrong with a sample that is not accepted, in words


Gate = Callable[[Request, View], Decision]


class GateError(ValueError):
    """A gate failed, or answered something else than a decision, or a defence refused; nothing was unlearned."""


def decide(gates: Sequence[Gate], request: Request, view: View) -> list[Decision]:
    """The decision of every gate, each about all samples.

    Raises:
      GateError: a gate raises, or answers no decision about every sample.
    """
    decisions = []
    for gate in gates:
        name = getattr(gate, "__name__", type(gate).__name__)
        try:
            decision = gate(request, view)
        except Exception as error:  # whatever it is: a gate that fails lets nothing pass
            raise GateError(f"the gate {name} raised {type(error).__name__}: {error}") from error
        count = len(request.labels)
        if not isinstance(decision, Decision) or not (
            np.shape(decision.accepted) == np.shape(decision.scores) == (count,)
            and np.asarray(decision.accepted).dtype == bool
        ):
            raise GateError(f"the gate {name} answered no Decision about {count} samples")
        decisions.append(decision)
    return decisions


def accepted_by_all(decisions: Sequence[Decision], count: int) -> np.ndarray:
    """Which of the samples every gate accepts; shape=(count,), dtype=bool."""
    together = np.ones(count, bool)
    for decision in decisions:
        together &= decision.accepted
    return together


def refusal_line(decisions: Sequence[Decision], count: int) -> str:
    """What was refused, in a line; empty where nothing was."""
    refused = [
        f"{int((~each.accepted).sum())} of {count} samples refused by {each.gate}: {each.why}"
        for each in decisions
        if not each.accepted.all()
    ]
    return "; ".join(refused)


def for_journal(decisions: Sequence[Decision]) -> list[dict[str, Any]]:
    """As JSON; a score that is no finite number is null."""
    return [
        {
            "gate": each.gate,
            "accepted": np.asarray(each.accepted).tolist(),
            "scores": [float(score) if np.isfinite(score) else None for score in each.scores],
            "threshold": float(each.threshold),
            "why": each.why,
        }
        for each in decisions
    ]
