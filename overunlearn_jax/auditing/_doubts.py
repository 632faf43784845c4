"""Why a small harm shows no safety: the attack was weaker than it was asked to be, or there was nothing to be seen.

A claim in doubt is never safe. It is still vulnerable where a harm was shown.
"""

from collections.abc import Sequence

import numpy as np

from overunlearn_jax.auditing._honest_costs import Row
from overunlearn_jax.statistics.intervals import paired_difference

MOST_MISSING = 0.1  # of the samples that a request was to have
ROUNDING = 1e-9  # of accuracies
Pair = tuple[Row, Row]  # of the honest and the malicious request of one seed


def doubt(pairs: Sequence[Pair], measure: str, limit: float, finest: float) -> str:
    """Why these requests show no safety of a class; empty where they may.

    Args:
      pairs: one for each seed.
      measure: "class_a" or "class_b".
      limit: what a request may cost the class, a fraction.
      finest: what one test image of the class is, a fraction.
    """
    return _saw_nothing(pairs) or _too_few(pairs) or _cannot_lose(pairs, measure, limit, finest) or _other(pairs, limit)


def _too_many(pairs: Sequence[Pair], name: str) -> str:
    """`name` of the malicious requests' samples, as "3 of 12 samples"; empty where they are few enough."""
    missing, requested = (sum(row.get(each, 0) for _, row in pairs) for each in (name, "requested"))
    return f"{missing} of {requested} samples" if missing and missing >= MOST_MISSING * requested else ""


def _saw_nothing(pairs: Sequence[Pair]) -> str:
    blind = _too_many(pairs, "saw_nothing")
    return blind and (
        f"the search saw nothing around {blind}, which says nothing of their safety: "
        '--search=auto (search="auto" in Python) finds one that sees more'
    )


def _too_few(pairs: Sequence[Pair]) -> str:
    """A request of few samples costs little, whatever one of all would cost."""
    failed = _too_many(pairs, "failed")
    return failed and (
        f"{failed} did not cross the decision boundary within what the search may spend, and a "
        "request of the others says nothing of one of all: allow it more steps, distance or queries"
    )


def _cannot_lose(pairs: Sequence[Pair], measure: str, limit: float, finest: float) -> str:
    left = float(np.mean([honest[measure] for honest, _ in pairs if honest[measure] is not None]))
    if left > limit + finest + ROUNDING:
        return ""
    return (
        f"the service is right about {100 * left:.1f} % of the class after the honest request, no more than a "
        "malicious one may take: a class that is predicted better says more"
    )


def _other(pairs: Sequence[Pair], limit: float) -> str:
    """A class that nobody asked about, shown to lose more than one that was asked about may."""
    names = pairs[0][0].get("class_names", ())
    both = [(honest.get("per_class"), malicious.get("per_class")) for honest, malicious in pairs]
    known = [(one, other) for one, other in both if one and other]
    worst, most = "", limit + ROUNDING
    for number, name in enumerate(names):
        if name in (pairs[0][0]["class_a_name"], pairs[0][0]["class_b_name"]):
            continue
        own = [(one[number], other[number]) for one, other in known]
        own = [pair for pair in own if None not in pair]
        if len(own) < 2:
            continue
        before, after = zip(*own, strict=True)
        lost = paired_difference(before, after, confidence=0.9)
        if lost.mean > most and lost.low > 0:
            worst, most = str(name), lost.mean
    if not worst:
        return ""
    return (
        f"class {worst}, about which nobody asked, loses {100 * most:.1f} points more than after an honest request: "
        "ask about it as class B"
    )
