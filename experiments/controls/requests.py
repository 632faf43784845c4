"""The requests that are compared: of the attacker's samples, and honest ones of other samples of the same class."""

from collections.abc import Callable

import numpy as np

from overunlearn_jax.auditing.crafting import Crafter
from overunlearn_jax.data import candidates, take
from overunlearn_jax.types import Request, Split

HONEST = "normal"
OF_SAME_SAMPLES = (HONEST, "noise", "blending", "pushing_1", "pushing_2")
NAMES = {
    "unfiltered": "honest, right or wrong",
    "lowest_margin": "honest, nearest to the boundary",
    "half": "honest, half as many",
    "twice": "honest, twice as many",
    "five_times": "honest, five times as many",
}
FIVE_TIMES = "five_times"
SHARE = 0.5  # of the class that one user holds at most: the paper's bound


def every_request(
    crafter: Crafter,
    train: Split,
    class_a: int,
    seed: int,
    count: int,
    probabilities: Callable[[np.ndarray], np.ndarray],
) -> dict[str, Request]:
    """All of `count` samples, but for those named by their number; with class A's label, where the paper changes none.

    "unfiltered" are the first candidates, those that the victim gets wrong included. "lowest_margin" are those of the
    class's first half, rightly predicted, whose probability leads the next class's by the least. "half", "twice" and
    "five_times" are honest requests of fewer and of more rightly predicted samples, for the same rate; what the class
    has too few samples for is left out. `probabilities` answers images (n, h, w, c).
    """
    made = {attack: crafter.craft(attack, count) for attack in OF_SAME_SAMPLES}
    requests = {attack: Request(each.images, each.labels) for attack, each in made.items()}
    size = len(requests[HONEST].labels)
    order = candidates(train, class_a, seed)
    held = take(train, order[: max(size, int(SHARE * len(order)))])
    whole = take(train, order)
    right = np.flatnonzero(probabilities(whole.images).argmax(-1) == class_a)
    more = {
        name: right[: times * size] for name, times in (("twice", 2), (FIVE_TIMES, 5)) if times * size <= len(right)
    }
    return {
        **requests,
        "unfiltered": _of(take(held, np.arange(size))),
        "lowest_margin": _of(take(held, _lowest_margins(probabilities(held.images), held.labels)[:size])),
        "half": Request(*(array[: size // 2] for array in requests[HONEST])),
        **{name: _of(take(whole, rows)) for name, rows in more.items()},
    }


def _lowest_margins(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Positions of rightly predicted samples, those nearest to another class first."""
    rows = np.arange(len(labels))
    own = answers[rows, labels]
    others = answers.copy()
    others[rows, labels] = -1
    margins = own - others.max(-1)
    right = np.flatnonzero(margins > 0)
    return right[np.argsort(margins[right], kind="stable")]


def _of(split: Split) -> Request:
    return Request(split.images, split.labels)
