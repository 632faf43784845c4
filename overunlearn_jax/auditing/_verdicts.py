"""Audit verdicts from rows: does any request make the service forget more than it may, and how sure is that?"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from overunlearn_jax.attack_names import CONTROLS, attack_name
from overunlearn_jax.auditing._doubts import doubt
from overunlearn_jax.auditing._honest_costs import Row, by_variant
from overunlearn_jax.reporting._summarise import NO_INTERVAL, finest, within_possible_harm
from overunlearn_jax.reporting.harm import OTHER, REQUESTED, HarmLine
from overunlearn_jax.reporting.outcomes import NOT_APPLICABLE, SAFE, UNDECIDED, VULNERABLE, tone
from overunlearn_jax.reporting.wording import SEVERAL_SEEDS, allowed_points, costs, percent, points, seeds_words
from overunlearn_jax.statistics.intervals import Interval, no_finer, paired_difference
from overunlearn_jax.statistics.power import repeats_needed

MEASURES = {"class_a": "over-unlearning I", "class_b": "over-unlearning II"}
ROUNDING = 1e-9  # of accuracies: 0.90 - 0.86 is not quite 0.04


class Verdict(NamedTuple):
    """One claim: this request costs this class at most the limit, beyond an honest request of the same samples."""

    request: str
    measure: str  # a key of MEASURES
    class_name: str
    variant: str  # size of the request, reading and rate of the method
    limit: float  # fraction of the class's test accuracy
    harm: Interval  # two-sided 90 %: each end is a one-sided 95 % bound; never finer than one test image
    left: float  # of the class's accuracy after the honest request, mean over the same seeds; NaN: not measured
    seeds_needed: int | None  # to decide it with 80 % power, if these values are typical; None: over 1,000 or no number
    unknown: str = ""  # why nobody could measure the harm; empty where somebody did
    diverged: tuple[int, ...] = ()  # seeds in which unlearning diverged after this request and not after the honest one
    because: str = ""  # what the method says of the first of them
    images: int | None = None  # test images of the class; None: older rows do not tell
    void: str = ""  # why there is nothing to claim; empty where there is
    doubt: str = ""  # why a small harm shows no safety, see `_doubts`; empty: it does

    @property
    def outcome(self) -> str:
        """Not applicable where nothing is left to take; else `measured`."""
        return NOT_APPLICABLE if self.void else self.measured

    @property
    def measured(self) -> str:
        """Safe or vulnerable if a one-sided 95 % bound says so; else undecided.

        A claim in doubt is not safe: its attack saw nothing of many samples, say.
        Vulnerable, too, if only after the malicious request unlearning diverged, in one seed or more: a service has
        one model to lose. The bounds are those before they are cut to what is possible, see `shown`.
        """
        if self.diverged:
            return VULNERABLE
        if self.harm.count < 2:
            return UNDECIDED
        if self.harm.high <= self.limit + ROUNDING:
            return UNDECIDED if self.doubt else SAFE
        return VULNERABLE if self.harm.low > self.limit + ROUNDING else UNDECIDED

    @property
    def shown(self) -> Interval:
        """The harm for a reader: its interval ends at what the class had, or lacked, after the honest request."""
        return self.harm if self.harm.count == 0 else within_possible_harm(self.harm, self.left)

    @property
    def name(self) -> str:
        """What the claim is about."""
        about = f"{MEASURES[self.measure]} (class {self.class_name}), {self.variant}"
        return f"{attack_name(self.request, at_start=True)}: {about}"

    @property
    def passed(self) -> bool:
        """Whether the request is shown to be safe."""
        return self.outcome == SAFE

    @property
    def weight(self) -> float:
        """How much it may cost: a safe claim's bound, another's mean; divergence more than any number.

        The noise control is no attack: that it is safe matters less than that any attack is.
        """
        if self.diverged:
            return math.inf
        if self.harm.count == 0 or (self.request in CONTROLS and self.measured == SAFE):
            return -math.inf
        return self.harm.high if self.measured == SAFE else self.harm.mean

    @property
    def headline(self) -> str:
        """What was found, in a short sentence; of a safe claim, as that of all which costs most."""
        name = attack_name(self.request, at_start=True)
        allowed = f"({allowed_points(self.limit)} allowed)"
        if self.diverged:
            return f"{name} makes unlearning diverge ({self._lost}), and an honest request does not"
        if self.unknown:
            return f"{name}, class {self.class_name}: {self.unknown}"
        found = costs(self.request, self.class_name, self.harm.mean)
        if self.measured == SAFE:
            worst = max(0.0, self.shown.high)
            return f"{name}, the costliest request, costs class {self.class_name} at most {points(worst)} points " + (
                f"beyond an honest one {allowed}"
            )
        if self.measured == VULNERABLE:
            return f"{found} {allowed}"
        if self.harm.count > 1:
            low, high = points(self.shown.low), points(self.shown.high)
            found = f"{name} costs class {self.class_name} between {low} and {high} points beyond an honest request"
        return f"{found} {allowed}; {self.decides}"

    @property
    def decides(self) -> str:
        """What would decide an undecided claim."""
        if self.unknown:
            return self.unknown
        if self.doubt:
            return self.doubt
        if self.harm.count < 2:
            return f"one seed has no interval: {SEVERAL_SEEDS} or more gives one"
        towards = SAFE if self.harm.mean < self.limit else VULNERABLE
        if self.seeds_needed is not None:
            return f"about {self.seeds_needed} seeds would show with 80 % power that it is {towards}"
        if abs(self.limit - self.harm.mean) <= finest(self.images) + ROUNDING:
            return "the mean is within one test image of the limit: more test images would decide, more seeds would not"
        return f"no number of seeds up to 1,000 would show that it is {towards}"

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Request, class, harm with its interval, limit."""
        found = "diverged" if self.diverged else f"{percent(self.shown)} points" if self.harm.count else "not known"
        name = attack_name(self.request, at_start=True)
        return name, self.class_name, found, f"{allowed_points(self.limit)} points"

    @property
    def note(self) -> str:
        """Why nothing can be said, what would decide, or how it diverged."""
        if self.void:
            return self.void
        if self.diverged:
            return f"unlearning diverged ({self._lost}), and not after the honest request"
        return self.decides if self.outcome == UNDECIDED else ""

    @property
    def line(self) -> HarmLine:
        """Its line in the picture."""
        role = REQUESTED if self.measure == "class_a" else OTHER
        name = attack_name(self.request, at_start=True)
        in_place = "diverged" if self.diverged else "not measured" if self.unknown else ""
        return HarmLine(name, self.class_name, role, self.shown, tone(self.outcome), in_place)

    @property
    def words(self) -> str:
        """The claim and what became of it, in full."""
        if self.diverged:
            text = f"{self.name}: unlearning diverged ({self._lost}), and not after the honest request"
        elif self.unknown:
            text = f"{self.name}: {self.unknown}"
        else:
            text = f"{self.name}: {self._found}; at most {100 * self.limit:.1f} allowed"
        if self.void:
            return f"{text}: {self.outcome}, since {self.void}"
        return f"{text}: {self.outcome}" + (
            f"; {self.decides}" if self.outcome == UNDECIDED and not self.unknown else ""
        )

    @property
    def _found(self) -> str:
        mean, low, high = (f"{100 * value:.1f}" for value in self.shown[:3])
        bounds = f", one-sided 95 % bounds {low} and {high}" if self.harm.count > 1 else ""
        text = f"{mean} points{bounds}, over {self.harm.count} {'seed' if self.harm.count == 1 else 'seeds'}"
        if self.images is None:
            return text
        return f"{text} and {self.images} test images, of which one is {100 / self.images:.3g} points"

    @property
    def _lost(self) -> str:
        return seeds_words(self.diverged) + (f": {self.because}" if self.because else "")


def verdicts(rows: Sequence[Row], limit: float) -> list[Verdict]:
    """A claim for each malicious request, class, size and variant of the method in the rows of a run.

    A claim that the rows say nothing about is undecided, and says why. Raises ValueError for rows without a malicious
    request, controls alone: that nothing was claimed must not look as if nothing was found.
    """
    found = []
    for variant, own in by_variant(rows):
        honest = {row["seed"]: row for row in own if row["attack"] == "normal"}
        for attack in dict.fromkeys(row["attack"] for row in own if row["attack"] != "normal"):
            malicious = {row["seed"]: row for row in own if row["attack"] == attack}
            for measure in MEASURES:
                found.append(_verdict(attack, measure, variant, limit, honest, malicious))
    if all(claim.request in CONTROLS for claim in found):
        raise ValueError(
            f"{len(rows)} rows, none of a malicious request: there is nothing to judge; expected --attacks with one, "
            "such as pushing_1"
        )
    return found


def _verdict(
    attack: str, measure: str, variant: str, limit: float, honest: Mapping[int, Row], malicious: Mapping[int, Row]
) -> Verdict:
    class_name = str(next(iter(malicious.values()))[f"{measure}_name"])
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
            unknown = f"no test images of class {class_name}"
        return Verdict(
            attack, measure, class_name, variant, limit, NO_INTERVAL, math.nan, None, unknown, diverged, because
        )
    pairs: np.ndarray = np.asarray(both, np.float64)
    images = next(filter(None, (_test_images(row, measure) for _, row in shared)), None)
    harm = no_finer(paired_difference(pairs[:, 0], pairs[:, 1], confidence=0.9), finest(images))
    left = float(pairs[:, 0].mean())
    needed = _seeds_needed(pairs[:, 0] - pairs[:, 1], limit, finest(images))
    return Verdict(
        attack,
        measure,
        class_name,
        variant,
        limit,
        harm,
        left,
        needed,
        diverged=diverged,
        because=because,
        images=images,
        doubt=doubt(shared, measure, limit, finest(images)),
    )


def _seeds_needed(harms: np.ndarray, limit: float, one_image: float) -> int | None:
    """How many seeds would decide; none would where the limit is nearer to the mean than one test image."""
    distance = limit - float(harms.mean())
    far = distance >= one_image - ROUNDING if distance > 0 else -distance > one_image + ROUNDING
    if len(harms) < 2 or not far:
        return None
    return repeats_needed(abs(distance), float(np.std(harms, ddof=1)))


def _test_images(row: Row, measure: str) -> int | None:
    """How many test images the accuracy is of; older rows do not tell it of class B."""
    return sum(row["class_a_predicted_before"]) if measure == "class_a" else row.get("class_b_test_images")
