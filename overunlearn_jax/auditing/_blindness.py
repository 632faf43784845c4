"""Searches that saw nothing of a service: what that leaves to be said of its safety."""

from collections.abc import Sequence

from overunlearn_jax.auditing._honest_costs import Row

MOST_BLIND = 0.1  # of the samples: with so many that the search saw nothing of, no request is called safe


def blind_words(rows: Sequence[Row]) -> str:
    """Why the samples of these requests are too few of those that were asked for; empty where they are not."""
    blind, requested = (sum(row.get(name, 0) for row in rows) for name in ("saw_nothing", "requested"))
    if not blind or blind < MOST_BLIND * requested:
        return ""
    return (
        f"the search saw nothing around {blind} of {requested} samples, which says nothing of their safety: "
        "--search=auto finds a search that sees more"
    )
