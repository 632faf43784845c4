"""The requests that are compared: of the attacker's samples, and honest ones of other samples of the same class."""

from collections.abc import Callable

import numpy as np

from experiments.controls.other_task import OTHER_TASK
from overunlearn_jax.attack_names import ATTACKS, HONEST
from overunlearn_jax.auditing.crafting import Crafter
from overunlearn_jax.data import candidates, take
from overunlearn_jax.types import Request, Split

FIVE_TIMES = "five_times"
NAMES = {
    "unfiltered": "honest, right or wrong",
    "lowest_margin": "honest, nearest to the boundary",
    "half": "honest, half as many",
    "twice": "honest, twice as many",
    FIVE_TIMES: "honest, five times as many",
    OTHER_TASK: "blended with a handwritten digit",
}
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
    crafted = {attack: crafter.craft(attack, count) for attack in ATTACKS}
    size = len(crafted[HONEST].labels)
    own = take(train, candidates(train, class_a, seed))
    answers = probabilities(own.images)
    held = max(size, int(SHARE * len(own.labels)))
    right = np.flatnonzero(answers.argmax(-1) == class_a)
    numbers = {"half": size // 2, "twice": 2 * size, FIVE_TIMES: 5 * size}
    chosen = {
        "unfiltered": np.arange(size),
        "lowest_margin": _lowest_margins(answers[:held], own.labels[:held])[:size],
        **{name: right[:number] for name, number in numbers.items() if number <= len(right)},
    }
    return {
        **{attack: Request(each.images, each.labels) for attack, each in crafted.items()},
        **{name: Request(own.images[rows], own.labels[rows]) for name, rows in chosen.items()},
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
