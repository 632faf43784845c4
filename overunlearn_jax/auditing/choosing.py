"""The attacker's samples: chosen by seed among those that the victim gets right, and pushed."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from overunlearn_jax.attack_names import REPEATED
from overunlearn_jax.attacks import PushResult, Status, bisect
from overunlearn_jax.auditing.request_settings import Classes, RequestSettings, label_choice
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.data import candidates, request_size, take
from overunlearn_jax.types import DatasetSpec, Split, Splits

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
      ValueError: a request of more samples than the victim gets right; where it gets fewer right than chance would, the
        message asks after the order of classes and the pixels.
    """
    needed = max(request_size(splits.train, classes.a, fraction) for fraction in settings.fractions)
    order = candidates(splits.train, classes.a, seed)
    answers = np.zeros(0, np.int64)
    while (answers == classes.a).sum() < needed and len(answers) < len(order):  # a query each, no more than needed
        ask = order[len(answers) : len(answers) + needed - int((answers == classes.a).sum())]
        answers = np.append(answers, black_box.query(splits.train.images[ask]).argmax(-1))
    right = answers == classes.a
    if right.sum() < needed:
        raise ValueError(_too_few(settings, splits.spec, classes.a, needed, answers))
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


def _too_few(settings: RequestSettings, spec: DatasetSpec, class_a: int, needed: int, answers: np.ndarray) -> str:
    """What to say of a victim that predicts fewer than the needed samples as class A, of all that it answered about."""
    right, name = int((answers == class_a).sum()), spec.class_names[class_a]
    told = (
        f"a request of {needed} samples ({100 * max(settings.fractions):g} % of class {name}) is more than the {right} "
        f"of {len(answers)} that the victim predicts rightly: "
    )
    if right * spec.num_classes >= len(answers):
        return f"{told}ask for less of the class (--fractions; fraction in Python), or train the victim longer"
    most = np.bincount(answers, minlength=spec.num_classes)
    return (
        f"{told}fewer than by chance. Of class {name} it answers {spec.class_names[most.argmax()]} most often, "
        f"{most.max()} times. Does it order its classes as the data set does ({', '.join(spec.class_names[:3])}, ...), "
        "and take the same pixels? A service that wants others, such as 0 ... 255, says so by its pixels, a PixelFormat"
    )


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
