"""What an unlearning method costs: gradient evaluations, counted where the Python loops call the jitted steps.

One is the gradient of the loss on one sample; a product of a Hessian with a vector counts as two.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Work:
    """Counts of what was done while `counting`."""

    def __init__(self) -> None:
        self.gradient_evaluations = 0


_current: ContextVar[Work | None] = ContextVar("work", default=None)


@contextmanager
def counting() -> Iterator[Work]:
    """Counts the gradient evaluations of the methods that run inside; a user's own function has none to count.

    Examples:
      >>> with counting() as work:
      ...     count_gradients(64)
      >>> work.gradient_evaluations
      64
    """
    work = Work()
    token = _current.set(work)
    try:
        yield work
    finally:
        _current.reset(token)


def count_gradients(samples: int) -> None:
    """Called by a method for every batch whose gradient it takes."""
    if (work := _current.get()) is not None:
        work.gradient_evaluations += samples
