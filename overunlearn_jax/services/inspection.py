"""What a service does with one small deletion: asked before hours are spent on it, and part of its name."""

from typing import NamedTuple

from overunlearn_jax.data import candidates
from overunlearn_jax.services.fingerprint import SAME_START, Answers, ask, asked_images, distance, same
from overunlearn_jax.services.service import MayLackUndo, Service, Variant, after_each
from overunlearn_jax.types import Key, Request, Splits


class ServiceError(ValueError):
    """A service does not do what an audit needs of it; the message says what it did, and what it has to do."""


class Inspection(NamedTuple):
    """A service, before it is attacked."""

    before: Answers  # to the images that name it
    after: dict[Variant, Answers]  # once it has forgotten one sample; a way that diverged is missing
    seconds: float  # that forgetting one sample took, all ways together
    warnings: list[str]

    @property
    def changed(self) -> bool:
        """Whether forgetting one sample changed any answer."""
        return any(not same(self.before, after, SAME_START) for after in self.after.values())


def inspect_service(
    service: Service, splits: Splits, class_a: int, key: Key, *, before: Answers | None = None
) -> Inspection:
    """Asks the service twice, has it forget one sample of class A, asks again, and asks whether the reset worked.

    Costs two queries for each of `fingerprint.ASKED` images, as many for each way of forgetting, once more after the
    reset, and one deletion. `before` is what the service has answered already.

    Raises:
      ServiceError: the service has no way to undo a deletion, and nothing is sent; or the reset does not bring the
        answers back.
      ValueError: the service raised, or answered something else than probabilities; see `UserCodeError` and
        `BadAnswerError`.
    """
    check_undo(service)
    images = asked_images(splits.test)
    before = before or ask(service.predict, images)
    first = candidates(splits.train, class_a, 0)[:1]
    request = Request(splits.train.images[first], splits.train.labels[first])
    after, seconds, diverged = {}, 0.0, []
    with after_each(service, [request], key) as left:
        for variant, each in left.items():
            seconds += each.deletion.seconds
            if each.predict is None:
                diverged.append(each.deletion.diverged)
            else:
                after[variant] = ask(each.predict, images, times=2 if before.noise else 1)
    back = ask(service.predict, images, times=1)
    if not same(before, back, SAME_START):
        raise ServiceError(
            "after reset the service answers otherwise than before the deletion: the logarithm of some probability "
            f"differs by {distance(before, back):.3g}, where asking twice differed by {before.noise:.3g}. Every "
            "request would meet another service: let reset() bring back all that forget() changes, optimiser and "
            "statistics, too"
        )
    found = Inspection(before, after, seconds, [])
    return found._replace(warnings=[*_warnings(found), *(f"forgetting one sample diverged: {why}" for why in diverged)])


def check_undo(service: Service) -> None:
    """Raises ServiceError, saying what cannot be compared, for a service with no way back after a deletion."""
    if isinstance(service, MayLackUndo) and service.no_undo:
        raise ServiceError(service.no_undo)


def _warnings(found: Inspection) -> list[str]:
    warnings = []
    if found.before.noise > 0:
        warnings.append(
            "the service answers the same images differently when it is asked twice (by up to "
            f"{found.before.noise:.3g} in the logarithm of a probability): searches that need finite differences see "
            "that noise, and accuracies carry it"
        )
    if found.after and not found.changed:
        warnings.append("forgetting one sample changed none of the service's answers")
    return warnings
