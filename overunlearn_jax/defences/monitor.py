"""The monitor: what a deletion costs, class by class, beside what honest ones of its size cost, before it is released.

A request is applied to a copy of the model, and the accuracy of every class on the server's own test images is compared
with a prediction interval from m honest requests of the same numbers of samples: it is rolled back where a class lost
more than one more honest request would, with the asked-for confidence for all classes together. "Run-time monitoring"
of Hu et al., NDSS 2024, section VII, made a test.

It needs answers alone, no weights, and any method will do. It costs m + 1 deletions and as many evaluations for each
combination of numbers of samples by class; later requests of the same numbers one of each. Accuracies are known to one
test image: a class may always lose one image more than the honest mean.

What honest requests cost may itself be too much: under a method that lets one hard sample ruin a class, the interval
for requests of one sample holds such a ruin. `most_lost` is a cap that holds whatever honest requests cost.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from overunlearn_jax.defences.honest_requests import (
    CalibrationError,
    Composition,
    after_honest,
    check_calibration,
    composition,
)
from overunlearn_jax.evaluation import evaluate_all
from overunlearn_jax.services.service import After, Service, Variant, variants_of
from overunlearn_jax.statistics.intervals import prediction_interval
from overunlearn_jax.types import Key, PredictFn, Request, Split

CANARIES = "canaries"
ROUNDING = 1e-12  # of a difference of two fractions


class Monitor(NamedTuple):
    """What a service is watched with."""

    held: Split  # training samples that the server still has: honest requests are drawn from them
    test: Split  # images that it was not trained on, of every class
    key: Key
    requests: int = 20  # m, honest ones for each combination of numbers of samples; few make the interval wide
    confidence: float = 0.99  # that an honest request is released, over all classes together; 1: all are, 0: none is
    in_parts: bool = False  # whether the halves of what is rolled back are tried, and theirs
    smallest: int = 1  # samples in the smallest part that is halved no more
    canaries: Split | None = None  # samples that are watched as a class of their own, see `canaries`
    most_lost: float = (
        1.0  # of a class's test images, the fraction by which its accuracy may fall, whatever honest ones do
    )


class Verdict(NamedTuple):
    """What the monitor says of one deletion."""

    released: bool
    score: float  # fraction of its accuracy that the class lost which exceeds its limit most; infinite: no model left
    threshold: float  # what it may lose
    why: str  # in words, whether it is released or not


class Limits(NamedTuple):
    """What honest requests of some numbers of samples cost: shape=(measures,), fractions of accuracy."""

    mean: np.ndarray
    most: np.ndarray


def within_limits(lost: np.ndarray, most: np.ndarray) -> bool:
    """Whether no class lost more than it may; one without test images, of which both are NaN, is not judged.

    Args:
      lost: shape=(measures,), fractions of accuracy.
      most: shape=(measures,), see `Limits`.

    >>> within_limits(np.array([0.01, np.nan]), np.array([0.02, np.nan]))
    True
    >>> within_limits(np.array([0.01, 0.03]), np.array([0.02, 0.02]))
    False
    """
    return not (lost > most + ROUNDING).any()


def check_monitor(monitor: Monitor) -> None:
    """Raises ValueError for numbers out of range, CalibrationError for an empty calibration or test set."""
    check_calibration(monitor.held, monitor.requests)
    if monitor.requests < 2:
        raise ValueError("requests are 1; expected two honest ones or more: one says nothing of how much they differ")
    if not 0 <= monitor.confidence <= 1:
        raise ValueError(f"confidence is {monitor.confidence}; expected a probability, from 0 to 1")
    if not 0 <= monitor.most_lost <= 1:
        raise ValueError(f"most_lost is {monitor.most_lost}; expected a fraction of a class's test images, from 0 to 1")
    if monitor.smallest < 1:
        raise ValueError(f"smallest is {monitor.smallest}; expected 1 sample or more in a part")
    if len(monitor.test.labels) == 0 or (monitor.canaries is not None and len(monitor.canaries.labels) == 0):
        raise CalibrationError("the monitor has no test images, or an empty set of canaries: nothing would be watched")


class Watcher:
    """A monitor of one service; what honest requests cost is measured once for each combination of numbers.

    Raises what `check_monitor` does.
    """

    def __init__(self, monitor: Monitor, service: Service):
        check_monitor(monitor)
        self._monitor, self._service = monitor, service
        self._before: np.ndarray | None = None
        self._limits: dict[Composition, dict[Variant, Limits]] = {}
        self._names = (*service.spec.class_names, *((CANARIES,) if monitor.canaries else ()))
        counts = np.bincount(monitor.test.labels, minlength=service.spec.num_classes)
        self._images = np.append(counts, len(monitor.canaries.labels) if monitor.canaries else [])

    @property
    def in_parts(self) -> bool:
        """Of the monitor."""
        return self._monitor.in_parts

    @property
    def smallest(self) -> int:
        """Of the monitor."""
        return self._monitor.smallest

    def limits(self, requests: Sequence[Request]) -> Mapping[Variant, Limits]:
        """What honest requests like these cost; asked for before they are forgotten.

        Raises CalibrationError for a class without test images, too few held samples, or an honest request that
        destroys the model.
        """
        like = composition(requests)
        for label in {label for request in like for label, _ in request}:
            if self._images[label] == 0:
                raise CalibrationError(
                    f"the monitor has no test images of class {self._names[label]}, and could not see what a request "
                    "of it costs: give some"
                )
        if like not in self._limits:
            self._limits[like] = self._measured(like)
        return self._limits[like]

    def judge(self, left: Mapping[Variant, After], limits: Mapping[Variant, Limits]) -> dict[Variant, Verdict]:
        """Whether each way to forget is released."""
        lost = self._lost(left)
        return {variant: self._verdict(left[variant], lost.get(variant), limits[variant]) for variant in left}

    def _measured(self, like: Composition) -> dict[Variant, Limits]:
        monitor = self._monitor
        if self._before is None:
            self._before = self._accuracies({"before": self._service.predict})["before"]
        if monitor.confidence in (0, 1):  # the limit cases need nobody to compare with
            nothing = np.full(len(self._names), np.nan)
            most = np.full(len(self._names), np.inf if monitor.confidence else -np.inf)
            return dict.fromkeys(variants_of(self._service), Limits(nothing, self._capped(most)))

        def lost_by_all(left: Mapping[Variant, After]) -> Mapping[Variant, np.ndarray]:
            lost = self._lost(left)
            if lost.keys() != left.keys():
                raise CalibrationError(
                    "an honest request of the same size leaves no model that answers: nothing to compare with"
                )
            return lost

        found = after_honest(self._service, monitor.held, like, monitor.requests, monitor.key, lost_by_all)
        return {variant: self._limits_of(np.stack([each[variant] for each in found])) for variant in found[0]}

    def _limits_of(self, lost: np.ndarray) -> Limits:
        """Of losses, shape=(m, measures)."""
        mean = lost.mean(0)
        watched = np.flatnonzero(self._images > 0)
        two_sided = 1 - 2 * (1 - self._monitor.confidence) / len(watched)  # Bonferroni; above the mean alone
        most = np.full(mean.shape, np.nan)
        for measure in watched:
            # For a low confidence the one-sided limit lies at the mean or below: it is taken as the mean.
            high = prediction_interval(lost[:, measure], two_sided).high if two_sided > 0 else mean[measure]
            most[measure] = max(high, mean[measure] + 1 / self._images[measure])
        return Limits(mean, self._capped(most))

    def _capped(self, most: np.ndarray) -> np.ndarray:
        return np.minimum(most, self._monitor.most_lost) if self._monitor.most_lost < 1 else most

    def _verdict(self, left: After, lost: np.ndarray | None, limits: Limits) -> Verdict:
        if lost is None:
            return Verdict(False, np.inf, 0.0, left.deletion.diverged or "the model's answers are not finite")
        excess = np.where(self._images > 0, lost - limits.most, -np.inf)
        worst = int(np.argmax(excess)) if np.isfinite(limits.most).any() else int(np.nanargmax(lost))
        released = within_limits(lost, limits.most)
        cap = f"; capped at {100 * self._monitor.most_lost:g} points" if self._monitor.most_lost < 1 else ""
        why = (
            f"{self._names[worst]} lost {100 * lost[worst]:.1f} points; honest requests of as many samples lose "
            f"{100 * limits.mean[worst]:.1f}, and {100 * limits.most[worst]:.1f} at most "
            f"({100 * self._monitor.confidence:.4g} % prediction interval over all classes, {self._monitor.requests} "
            f"requests{cap})"
        )
        return Verdict(released, float(lost[worst]), float(limits.most[worst]), why)

    def _lost(self, left: Mapping[Variant, After]) -> dict[Variant, np.ndarray]:
        """Fractions of accuracy, shape=(measures,), of those that answer."""
        assert self._before is not None  # limits come first
        named = {str(number): each.predict for number, each in enumerate(left.values()) if each.predict is not None}
        found = self._accuracies(named)
        lost = {variant: found.get(str(number)) for number, variant in enumerate(left)}
        return {variant: self._before - each for variant, each in lost.items() if each is not None}

    def _accuracies(self, models: Mapping[str, PredictFn]) -> dict[str, np.ndarray]:
        """By class and of the canaries; a model whose answers are not finite is missing."""
        if not models:
            return {}
        classes = self._service.spec.num_classes
        metrics = evaluate_all(models, self._monitor.test, classes)
        found = {name: each.per_class for name, each in metrics.items() if each is not None}
        if self._monitor.canaries is not None:
            of_canaries = evaluate_all({name: models[name] for name in found}, self._monitor.canaries, classes)
            found = {
                name: np.append(each, np.nan if (own := of_canaries[name]) is None else own.overall)
                for name, each in found.items()
            }
        return {name: each for name, each in found.items() if np.isfinite(each[self._images > 0]).all()}
