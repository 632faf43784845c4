"""Audit verdicts from rows: does any request make the service forget more than it may, and how sure is that?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from overunlearn_jax.auditing._honest_costs import Row, by_variant
from overunlearn_jax.reporting._summarise import NO_INTERVAL
from overunlearn_jax.statistics.intervals import Interval, paired_difference
from overunlearn_jax.statistics.power import repeats_needed

MEASURES = {"class_a": "over-unlearning I (class A)", "class_b": "over-unlearning II (class B)"}
ROUNDING = 1e-9  # of accuracies: 0.90 - 0.86 is not quite 0.04
SAFE, VULNERABLE, UNDECIDED = "safe", "vulnerable", "undecided"


class Verdict(NamedTuple):
    """One claim: this request costs this class at most the limit, beyond an honest request of the same samples."""

    request: str
    measure: str  # a key of MEASURES
    variant: str  # size of the request, reading and rate of the method
    limit: float  # fraction of the class's test accuracy
    harm: Interval  # two-sided 90 %: each end is a one-sided 95 % bound; never finer than one test image
    seeds_needed: int | None  # to show with 80 % power that the harm is below the limit; None: no number, or over 1,000
    unknown: str = ""  # why nobody could measure the harm; empty where somebody did
    diverged: tuple[int, ...] = ()  # seeds in which unlearning diverged after this request and not after the honest one
    because: str = ""  # what the method says of the first of them
    images: int | None = None  # test images of the class; None: older rows do not tell

    @property
    def outcome(self) -> str:
        """Safe or vulnerable if a one-sided 95 % bound says so; else undecided.

        Vulnerable, too, if only after the malicious request unlearning diverged, in one seed or more: a service has
        one model to lose.
        """
        if self.diverged:
            return VULNERABLE
        if self.harm.count < 2:
            return UNDECIDED
        if self.harm.high <= self.limit + ROUNDING:
            return SAFE
        return VULNERABLE if self.harm.low > self.limit + ROUNDING else UNDECIDED

    @property
    def name(self) -> str:
        """What the claim is about."""
        return f"{self.request}: {MEASURES[self.measure]}, {self.variant}"

    @property
    def passed(self) -> bool:
        """Whether the request is shown to be safe."""
        return self.outcome == SAFE

    @property
    def words(self) -> str:
        """The claim and what became of it, for a reader."""
        about = f"{self.request}, {MEASURES[self.measure]}, {self.variant}"
        if self.diverged:
            listed = f"{'seed' if len(self.diverged) == 1 else 'seeds'} {', '.join(map(str, self.diverged))}"
            why = f" ({self.because})" if self.because else ""
            return f"{about}: unlearning diverged for {listed}{why}, and not after the honest request: {self.outcome}"
        if self.unknown:
            return f"{about}: {self.unknown}: {self.outcome}"
        mean, low, high = (f"{100 * value:.1f}" for value in self.harm[:3])
        found = f"{mean} points"
        if self.harm.count > 1:
            found += f", one-sided 95 % bounds {low} and {high}"
        text = f"{about}: {found}, over {self.harm.count} seeds"
        if self.images is not None:
            text += f" and {self.images} test images, of which one is {100 / self.images:.3g} points"
        text += "; "
        text += f"at most {100 * self.limit:.1f} allowed: {self.outcome}"
        if self.harm.count < 2:
            return f"{text}; one seed has no interval: give --seeds=0,1,2 or more"
        if self.outcome == UNDECIDED:
            needed = "no number of" if self.seeds_needed is None else f"about {self.seeds_needed}"
            text += f"; {needed} seeds would show with 80 % power that it is safe, if these values are typical"
        return text


def verdicts(rows: Sequence[Row], limit: float) -> list[Verdict]:
    """A claim for each malicious request, class, size and variant of the method in the rows of a run.

    A claim that the rows say nothing about is undecided, and says why. Raises ValueError for rows without a malicious
    request: that nothing was claimed must not look as if nothing was found.
    """
    found = []
    for variant, own in by_variant(rows):
        honest = {row["seed"]: row for row in own if row["attack"] == "normal"}
        for attack in dict.fromkeys(row["attack"] for row in own if row["attack"] != "normal"):
            malicious = {row["seed"]: row for row in own if row["attack"] == attack}
            for measure in MEASURES:
                found.append(_verdict(attack, measure, variant, limit, honest, malicious))
    if not found:
        raise ValueError(
            f"{len(rows)} rows, none of a malicious request: there is nothing to judge; expected --attacks with one, "
            "such as pushing_1"
        )
    return found


def _verdict(
    attack: str, measure: str, variant: str, limit: float, honest: Mapping[int, Row], malicious: Mapping[int, Row]
) -> Verdict:
    shared = [(honest[seed], malicious[seed]) for seed in sorted(honest.keys() & malicious.keys())]
    both = [(one[measure], other[measure]) for one, other in shared if None not in (one[measure], other[measure])]
    broken = [other for one, other in shared if other.get("diverged") and not one.get("diverged")]
    diverged = tuple(row["seed"] for row in broken)
    because = broken[0].get("diverged_because", "") if broken else ""
    if not both:
        unknown = "no honest request of the same seeds to compare with"
        if any(one.get("diverged") for one, _ in shared):
            unknown = "nothing to compare with, since unlearning diverged after the honest request"
        elif shared:
            unknown = f"no test images of class {shared[0][0][f'{measure}_name']}"
        return Verdict(attack, measure, variant, limit, NO_INTERVAL, None, unknown, diverged, because)
    pairs: np.ndarray = np.asarray(both, np.float64)
    images = next(filter(None, (_test_images(row, measure) for _, row in shared)), None)
    finest = 1 / images if images else 0.0
    harm = _no_finer(paired_difference(pairs[:, 0], pairs[:, 1], confidence=0.9), finest)
    needed = None
    if len(pairs) > 1 and limit - harm.mean >= finest - ROUNDING:
        spread = float(np.std(pairs[:, 0] - pairs[:, 1], ddof=1))
        needed = repeats_needed(limit - harm.mean, spread)
    return Verdict(attack, measure, variant, limit, harm, needed, "", diverged, because, images)


def _test_images(row: Row, measure: str) -> int | None:
    """How many test images the accuracy is of; older rows do not tell it of class B."""
    return sum(row["class_a_predicted_before"]) if measure == "class_a" else row.get("class_b_test_images")


def _no_finer(harm: Interval, finest: float) -> Interval:
    """The interval, reaching to `finest` on either side at least: few seeds that agree by chance show no more."""
    return harm._replace(low=min(harm.low, harm.mean - finest), high=max(harm.high, harm.mean + finest))
