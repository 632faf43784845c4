"""What a run's requests are about: its classes, the attacks, their sizes, and the labels that are submitted."""

from typing import NamedTuple

from overunlearn_jax.attack_names import REPEATED
from overunlearn_jax.data import class_index
from overunlearn_jax.types import DatasetSpec


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


def label_choice(settings: RequestSettings, attack: str) -> str:
    """Which label a request submits: original, predicted or target.

    The honest one, its noise control and the repeated sample keep their own.
    """
    if attack in ("normal", "noise", REPEATED):
        return "original"
    if settings.labels == "paper":
        return "predicted" if attack == "blending" else "original"
    return settings.labels
