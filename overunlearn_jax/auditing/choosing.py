"""The attacker's samples: chosen by seed among those that the victim gets right, and pushed."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from overunlearn_jax.attack_names import REPEATED
from overunlearn_jax.attacks import PushResult, Status, bisect
from overunlearn_jax.auditing.request_settings import Classes, RequestSettings, label_choice
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.data import candidates, request_size, take
from overunlearn_jax.types import Split, Splits

NEED_PUSHES = {"noise", "pushing_1", "pushing_2"}  # attacks; the noise control is as long as the pushes


Pusher = Callable[[BlackBox, Split], tuple[PushResult, float]]  # what became of the samples, and the seconds it took


class AttackerSamples(NamedTuple):
    """A seed's samples of class A in the order in which requests take them, and what pushing made of them."""

    samples: Split  # shape=(m, ...): as many as the largest request needs, all predicted as class A
    skipped: np.ndarray  # shape=(m,), dtype=int64: wrongly predicted candidates passed over up to this sample
    pushed: PushResult | None
    seconds: float  # wall time of pushing all m


def choose_and_push(
    settings: RequestSettings, black_box: BlackBox, splits: Splits, classes: Classes, seed: int, push: Pusher
) -> AttackerSamples:
    """Picks the attacker's samples by seed, skips those that the victim gets wrong, and pushes the rest.

    Raises:
      ValueError: a request of more samples than the victim gets right.
    """
    needed = max(request_size(splits.train, classes.a, fraction) for fraction in settings.fractions)
    order = candidates(splits.train, classes.a, seed)
    right = np.zeros(0, bool)
    while right.sum() < needed and len(right) < len(order):  # one query a candidate, no more than needed
        ask = order[len(right) : len(right) + needed - int(right.sum())]
        right = np.append(right, black_box.query(splits.train.images[ask]).argmax(-1) == classes.a)
    if right.sum() < needed:
        raise ValueError(
            f"a request of {needed} samples ({100 * max(settings.fractions):g} % of class "
            f"{splits.spec.class_names[classes.a]}) is more than the {right.sum()} of {len(order)} that the victim "
            "predicts rightly: ask for smaller --fractions or train the victim longer"
        )
    kept = np.flatnonzero(right)
    samples = take(splits.train, order[kept])
    pushed, seconds = None, 0.0
    if NEED_PUSHES & set(settings.attacks):
        pusher = BlackBox(
            splits.spec, black_box.predict, budget=_left_for_pushing(settings, black_box, splits, classes)
        )
        pushed, seconds = push(pusher, samples)
        targets = None if classes.target is None else np.full(len(samples.labels), classes.target)
        black_box.charge(pusher.queries)
        pushed = bisect(
            black_box, samples.images, samples.labels, pushed, steps=settings.bisection_steps, targets=targets
        )
    return AttackerSamples(samples, kept - np.arange(len(kept)), pushed, seconds)


def _left_for_pushing(settings: RequestSettings, black_box: BlackBox, splits: Splits, classes: Classes) -> int | None:
    """The budget less what follows the search: bisection, and a query for each sample that requests ask about again."""
    if black_box.left is None:
        return None
    sizes = [request_size(splits.train, classes.a, fraction) for fraction in settings.fractions]
    asking = sum(attack == REPEATED or label_choice(settings, attack) == "predicted" for attack in settings.attacks)
    return max(0, black_box.left - sum(sizes) * asking - max(sizes) * settings.bisection_steps)


def saw_nothing(pushed: PushResult, count: int) -> int:
    """How many of the first `count` samples were given up since no probe told anything."""
    return int((pushed.status[:count] == Status.SAW_NOTHING).sum())
