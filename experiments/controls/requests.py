"""The requests that are compared: of the attacker's samples, and honest ones of other samples of the same class."""

from collections.abc import Sequence

import numpy as np

from experiments.config import Config
from experiments.controls.other_task import OTHER_TASK
from experiments.pipeline import SeedRun, crafter_of
from overunlearn_jax.attack_names import ATTACKS, HONEST
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.data import candidates, request_size, take
from overunlearn_jax.types import Request

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


def crafted_requests(config: Config, seed: int, ready: SeedRun, attacks: Sequence[str] = ATTACKS) -> dict[str, Request]:
    """A seed's requests by the attack that made them, at the largest of the fractions."""
    crafter = crafter_of(config, seed, ready)
    count = request_size(ready.splits.train, ready.classes.a, max(config.attack.fractions))
    made = {attack: crafter.craft(attack, count) for attack in attacks}
    return {attack: Request(each.images, each.labels) for attack, each in made.items()}


def every_request(config: Config, seed: int, ready: SeedRun) -> dict[str, Request]:
    """The crafted ones, and as large ones of class A itself, with its label, but for those named by their number.

    "unfiltered" are the first candidates, those that the victim gets wrong included. "lowest_margin" are those of the
    class's first half, rightly predicted, whose probability leads the next class's by the least. "half", "twice" and
    "five_times" are honest requests of fewer and of more rightly predicted samples, for the same rate; what the class
    has too few samples for is left out.
    """
    crafted = crafted_requests(config, seed, ready)
    train, class_a, size = ready.splits.train, ready.classes.a, len(crafted[HONEST].labels)
    own = take(train, candidates(train, class_a, seed))
    answers = predict_in_batches(ready.victim.service.predict, own.images)
    held = max(size, int(SHARE * len(own.labels)))
    right = np.flatnonzero(answers.argmax(-1) == class_a)
    numbers = {"half": size // 2, "twice": 2 * size, FIVE_TIMES: 5 * size}
    chosen = {
        "unfiltered": np.arange(size),
        "lowest_margin": _lowest_margins(answers[:held], own.labels[:held])[:size],
        **{name: right[:number] for name, number in numbers.items() if number <= len(right)},
    }
    return {
        **crafted,
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
