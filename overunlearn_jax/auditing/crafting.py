"""From a class's samples to the requests that are compared: honest, control and malicious, over the same samples."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from overunlearn_jax.attack_names import REPEATED
from overunlearn_jax.attacks import PushResult, Status, bisect, blend, noise_of_length
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.data import candidates, class_index, request_size, take
from overunlearn_jax.types import DatasetSpec, Key, Split, Splits, UnlearningRequest

SEE_MORE = (
    "around {count} of them probes were answered as the images that they change, so the search saw nothing: the "
    "service rounds its pixels or its answers to more than probes change, which does not make it safe. Let the search "
    "find out what the service shows (--search=auto; search='auto' in Python), probe with larger changes "
    "(--solver=sega --space=box --difference=0.01 or more), or go by labels alone (--search=labels)"
)
NEED_PUSHES = {"noise", "pushing_1", "pushing_2"}  # attacks; the noise control is as long as the pushes


class Classes(NamedTuple):
    """The labels that a run is about."""

    a: int  # of the request
    b: int  # blended in; reported as over-unlearning II
    target: int | None = None  # pushed to; None when untargeted

    @staticmethod
    def of(spec: DatasetSpec, class_a: str, class_b: str, target: str = "") -> "Classes":
        """The labels behind names or numbers; an empty target is none.

        Raises:
          ValueError: a class that is not there, and where two that have to differ are the same.
        """
        a, b = class_index(spec, class_a), class_index(spec, class_b)
        goal = class_index(spec, target) if target else None
        if a in (b, goal):
            raise ValueError(f"--class_a={class_a} has to differ from --class_b and --target")
        return Classes(a, b, goal)


class RequestSettings(NamedTuple):
    """Which requests are made, and what is submitted with them."""

    attacks: tuple[str, ...]  # names of `attack_names`
    fractions: tuple[float, ...]  # sizes, as parts of class A's training samples
    blending_ratio: float = 0.5  # alpha of x' = (1 - alpha) x + alpha x_b, equation (1)
    labels: str = "paper"  # "paper", "original", "predicted" or "target": see `label_choice`
    bisection_steps: int = 0  # halvings of the way between Pushing-I and Pushing-II, a query each


Pusher = Callable[[BlackBox, Split], tuple[PushResult, float]]  # what became of the samples, and the seconds it took


class BlindSearchError(ValueError):
    """No sample crossed since the search saw nothing of the service: there is no request, and no verdict."""


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


def label_choice(settings: RequestSettings, attack: str) -> str:
    """Which label a request submits: original, predicted or target.

    The honest one, its noise control and the repeated sample keep their own.
    """
    if attack in ("normal", "noise", REPEATED):
        return "original"
    if settings.labels == "paper":
        return "predicted" if attack == "blending" else "original"
    return settings.labels


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


class Crafter:
    """Makes one request after another from one seed's samples."""

    def __init__(
        self,
        settings: RequestSettings,
        black_box: BlackBox,
        splits: Splits,
        classes: Classes,
        chosen: AttackerSamples,
        seed: int,
        noise_key: Key,
    ):
        self._settings = settings
        self._black_box = black_box
        self._classes = classes
        self._chosen = chosen
        self._bounds = splits.spec.bounds
        self._noise_key = noise_key
        others = candidates(splits.train, classes.b, seed)
        self._others = splits.train.images[np.resize(others, len(chosen.samples.labels))]

    def craft(self, attack: str, count: int) -> UnlearningRequest:
        """The request that `attack` makes of the first `count` samples, less those that did not cross."""
        began = time.perf_counter()
        kept = self.submitted(count)
        originals = take(self._chosen.samples, kept)
        pushed = self._chosen.pushed
        match attack:
            case "normal":
                images = originals.images
            case "blending":
                images = blend(originals.images, self._others[kept], self._settings.blending_ratio)
            case "noise":
                assert pushed is not None
                lengths = pushed.l2_outside[kept]
                images = np.asarray(noise_of_length(self._noise_key, originals.images, lengths, self._bounds))
            case "pushing_1":
                assert pushed is not None
                images = pushed.inside[kept]
            case "pushing_2":
                assert pushed is not None
                images = pushed.outside[kept]
            case "repeated":
                hardest = self._hardest(originals)
                kept = np.repeat(kept[hardest], len(kept))
                originals = take(self._chosen.samples, kept)
                images = originals.images
            case _:
                raise ValueError(f"unknown attack {attack!r}")
        labels, label_queries = self._labels(attack, images, originals.labels)
        queries = np.full(len(kept), 1 if attack == REPEATED else label_queries, np.int64)
        seconds = time.perf_counter() - began
        if attack.startswith("pushing") and pushed is not None:
            queries += pushed.queries[kept]
            seconds += self._chosen.seconds * count / len(self._chosen.samples.labels)
        return UnlearningRequest(
            images, labels, originals.images, originals.labels, originals.ids, attack, queries, seconds
        )

    def submitted(self, count: int) -> np.ndarray:
        """Which of the first `count` samples every request of this size submits: those that crossed."""
        pushed = self._chosen.pushed
        kept = np.arange(count) if pushed is None else np.flatnonzero(pushed.crossed[:count])
        if len(kept) == 0 and pushed is not None and (blind := saw_nothing(pushed, count)) > count / 2:
            raise BlindSearchError(
                f"none of {count} samples crossed the decision boundary: {SEE_MORE.format(count=blind)}"
            )
        if len(kept) == 0:
            raise ValueError(
                f"none of {count} samples crossed the decision boundary: raise --max_steps, --max_l2 or "
                "--query_budget, or try another --step_size"
            )
        return kept

    def _hardest(self, samples: Split) -> int:
        """The row of the sample whose own label the service gives the lowest probability; a query for each.

        The first of those with the lowest: where labels alone are answered, all have the same.
        """
        answers = self._black_box.query(samples.images)
        return int(answers[np.arange(len(samples.labels)), samples.labels].argmin())

    def _labels(self, attack: str, images: np.ndarray, originals: np.ndarray) -> tuple[np.ndarray, int]:
        """The submitted labels, and the queries that each cost."""
        match label_choice(self._settings, attack):
            case "predicted":
                return self._black_box.query(images).argmax(-1).astype(np.int32), 1
            case "target":
                return np.full_like(originals, self._classes.target), 0
        return originals, 0
