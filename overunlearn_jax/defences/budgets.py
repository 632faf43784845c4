"""Budgets: how many samples one user, one class and all together may have forgotten within a span of time.

What no single request shows, many small ones do together: the same harm in parts, over time, by users who act together
or in every class. A budget bounds the sum and looks at no image. It needs the time and, for a budget by user, a server
that knows who asks; it costs a pass over what was spent within the window. A user who needs more waits, or asks a
person: a budget refuses lawful deletions as well.
"""

import math
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from overunlearn_jax.defences.gate import Decision, View
from overunlearn_jax.types import Labels, Request


class BudgetLimits(NamedTuple):
    """Samples within any span of `window` seconds; 0 refuses all, infinity nothing."""

    per_owner: float = math.inf
    per_class: float = math.inf
    in_all: float = math.inf
    window: float = 24 * 3600.0  # seconds; infinity: for ever


class Spent(NamedTuple):
    """Samples of one class that one owner had forgotten in one request."""

    at: float  # seconds, of the clock
    owner: str
    label: int
    samples: int


Ledger = tuple[Spent, ...]  # in the order of time


@runtime_checkable
class KeepsLedger(Protocol):
    """A gate that remembers what it accepted, as `Budget` does."""

    ledger: Ledger


def check_limits(limits: BudgetLimits) -> None:
    """Raises ValueError for a limit that is NaN or negative, and for a window that is not above 0."""
    for name, value in limits._asdict().items():
        least = "above 0 seconds" if name == "window" else "0 samples or more"
        if not (value > 0 if name == "window" else value >= 0):
            raise ValueError(f"{name} is {value}; expected {least}, or infinity")


def spend(
    ledger: Ledger, limits: BudgetLimits, labels: Labels, owner: str, now: float
) -> tuple[np.ndarray, np.ndarray, Ledger]:
    """What of a request is within the budget: samples in their order, until a limit is reached.

    Args:
      ledger: what was spent before; it is not changed.
      limits: of the budget.
      labels: of the n samples, shape=(n,).
      owner: whose request it is.
      now: seconds, of the same clock as the ledger.

    Returns:
      accepted, shape=(n,), dtype=bool; scores, shape=(n,), dtype=float64: the largest share of a limit that is spent
      with the sample; and the ledger with what was accepted, without what has left the window.

    >>> spend((), BudgetLimits(per_class=2), np.array([0, 0, 0, 1]), "ann", 0.0)[0].tolist()
    [True, True, False, True]
    """
    ledger = tuple(each for each in ledger if each.at > now - limits.window)
    labels = np.asarray(labels)
    by_owner = sum(each.samples for each in ledger if each.owner == owner)
    in_all = sum(each.samples for each in ledger)
    by_class = {
        label: sum(each.samples for each in ledger if each.label == label) for label in np.unique(labels).tolist()
    }
    accepted, scores = np.zeros(len(labels), bool), np.zeros(len(labels))
    for index, label in enumerate(labels.tolist()):
        scores[index] = max(
            _share(by_owner + 1, limits.per_owner),
            _share(by_class[label] + 1, limits.per_class),
            _share(in_all + 1, limits.in_all),
        )
        accepted[index] = scores[index] <= 1
        if accepted[index]:
            by_owner, in_all, by_class[label] = by_owner + 1, in_all + 1, by_class[label] + 1
    kinds, counts = np.unique(labels[accepted], return_counts=True)
    new = (Spent(now, owner, int(label), int(count)) for label, count in zip(kinds, counts, strict=True))
    return accepted, scores, (*ledger, *new)


def _share(spent: float, limit: float) -> float:
    return spent / limit if limit > 0 else math.inf


class Budget:
    """A gate that remembers what it has accepted; one call at a time.

    What it accepts is spent, also where another gate or a monitor then refuses it: trying is not free.

    Args:
      limits: within a window of time.
      clock: seconds; `time.time` goes on over restarts.
      ledger: what was spent before, for instance in an earlier process.

    Raises ValueError for limits out of range. A call raises ValueError where a budget by owner cannot tell owners
    apart: the service gives no name.
    """

    def __init__(self, limits: BudgetLimits, clock: Callable[[], float] = time.time, ledger: Ledger = ()):
        check_limits(limits)
        self._limits, self._clock, self._ledger = limits, clock, ledger
        self._lock = threading.Lock()

    @property
    def ledger(self) -> Ledger:
        """What was spent within the window, as of the last request."""
        return self._ledger

    @ledger.setter
    def ledger(self, ledger: Ledger) -> None:
        with self._lock:
            self._ledger = ledger

    def __call__(self, request: Request, view: View) -> Decision:
        """See `Gate`."""
        if math.isfinite(self._limits.per_owner) and not view.owner:
            raise ValueError("a budget by owner needs to know whose request it is, and the service names nobody")
        with self._lock:
            accepted, scores, self._ledger = spend(
                self._ledger, self._limits, request.labels, view.owner, self._clock()
            )
        return Decision("budget", accepted, scores, 1.0, "the budget of this span of time is spent")
