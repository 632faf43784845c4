"""What an honest request itself does to the model: too much, so that nothing is left to take, or nothing at all?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from overunlearn_jax.attack_names import HONEST, attack_name
from overunlearn_jax.reporting.outcomes import DESTROYED, INTACT, UNDECIDED
from overunlearn_jax.reporting.wording import seeds_words, variant_words

Row = Mapping[str, Any]
UNCHANGED = (
    "the honest request changed nothing that is measured, so that nothing shows that the service forgets: a forget "
    "that is not finished when it returns, or defences that refuse everybody, look like this; --allow_unchanged "
    "(allow_unchanged=True in Python) says that it is as it should be"
)
NOTHING_LEFT = (
    "what an honest request has destroyed, no malicious one can take: unlearn in smaller steps, or allow a larger "
    "max_honest_cost"
)
ROUNDING = 1e-9  # of accuracies
MEASURES = ("class_a", "class_b", "overall")
# Answers that unlearning may change, beside those of the same name with `_before`.
ANSWERS = (*MEASURES, "class_a_predicted")


class HonestCost(NamedTuple):
    """One claim: an honest request leaves a model of which a malicious one can still take something."""

    variant: str  # as `by_variant` words it
    limit: float  # the part of an accuracy that may be lost
    accuracies: dict[str, tuple[float, float]]  # by what it is of: test accuracy before and after, means over seeds
    seeds: int  # that could be measured
    diverged: tuple[int, ...]  # seeds after which no model was left
    because: str  # what the method says of the first of them
    changed_answers: bool  # in any seed, any of the numbers that are measured
    changed_weights: bool | None  # in any seed; None: older rows do not tell
    forgetting: bool  # whether the rows measure it

    @property
    def name(self) -> str:
        """What the claim is about."""
        return f"{attack_name(HONEST, at_start=True)}: what it costs by itself, {self.variant}"

    @property
    def outcome(self) -> str:
        """Destroyed where the mean over seeds lost more than the limit, or any seed's unlearning diverged.

        The mean decides, without an interval: this is what the claims on malicious requests presuppose, not what the
        audit asks.
        """
        if self.diverged or self._lost:
            return DESTROYED
        return INTACT if self.accuracies else UNDECIDED

    @property
    def passed(self) -> bool:
        """Whether this stops no pipeline."""
        return self.outcome == INTACT

    @property
    def weight(self) -> float:
        """The largest part of an accuracy that was lost."""
        return max(map(self._part_lost, self.accuracies), default=0.0)

    @property
    def headline(self) -> str:
        """What was found, in a short sentence."""
        if self.diverged:
            return f"an honest request alone makes unlearning diverge ({self._seeds_lost})"
        if not self.accuracies:
            return "nothing was measured after the honest request"
        what = max(self._lost or self.accuracies, key=self._part_lost)
        before, after = self.accuracies[what]
        return (
            f"an honest request alone takes {what} from {100 * before:.1f} to {100 * after:.1f} % "
            f"({100 * self.limit:g} % of it may be lost)"
        )

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """The request, the classes, their accuracies before and after, and what part of each may be lost."""
        name = attack_name(HONEST, at_start=True)
        found = ", ".join(f"{100 * before:.1f} → {100 * after:.1f} %" for before, after in self.accuracies.values())
        classes = ", ".join(what.removeprefix("class ").removesuffix(" classes") for what in self.accuracies)
        return name, classes, found and f"by itself {found}", f"{100 * self.limit:g} % of each"

    @property
    def note(self) -> str:
        """How it diverged; that it changed nothing is a warning."""
        return f"unlearning diverged ({self._seeds_lost})" if self.diverged else ""

    @property
    def line(self) -> None:
        """None: it is what the others are measured against."""
        return None

    @property
    def words(self) -> str:
        """The claim and what became of it, in full."""
        found = "; ".join(
            f"{what} {100 * before:.1f} % before, {100 * after:.1f} % after"
            for what, (before, after) in self.accuracies.items()
        )
        text = f"{attack_name(HONEST, at_start=True)}, {self.variant}: {found or 'nothing was measured'}, "
        text += f"mean over {self.seeds} {'seed' if self.seeds == 1 else 'seeds'}; "
        text += f"at most {100 * self.limit:g} % of each may be lost: {self.outcome}"
        if self.diverged:
            text += f"; unlearning diverged ({self._seeds_lost})"
        if self.outcome == DESTROYED:
            text += f"; {NOTHING_LEFT}"
        return f"{text}; {self._changes}" if self.accuracies else text

    @property
    def is_unchanged(self) -> bool:
        """Whether nothing shows that the service forgot anything, neither its answers nor its weights."""
        return bool(self.accuracies) and not self.changed_answers and not self.changed_weights

    @property
    def changed_nothing(self) -> str:
        """What a reader has to know of a service that changes nothing; empty for others."""
        if self.changed_answers or not self.accuracies:
            return ""
        return (
            f"{self._changes}. Nothing here shows that the service unlearns what an honest user asks of it, and safe "
            "says only that a malicious one costs no more than nothing. "
            + ("See what was measured of forgetting" if self.forgetting else "--forgetting measures it")
        )

    @property
    def _lost(self) -> list[str]:
        """The accuracies that lost more than they may."""
        return [
            what for what, (before, after) in self.accuracies.items() if after < (1 - self.limit) * before - ROUNDING
        ]

    def _part_lost(self, what: str) -> float:
        before, after = self.accuracies[what]
        return 1 - after / before if before else 0.0

    @property
    def _seeds_lost(self) -> str:
        return seeds_words(self.diverged) + (f": {self.because}" if self.because else "")

    @property
    def _changes(self) -> str:
        if self.changed_answers:
            return "it changed answers of the model"
        weights = {None: "", True: ", though it changed weights", False: ", and no weight"}[self.changed_weights]
        return f"it changed none of the measured numbers{weights}"


def by_variant(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """The rows of each size of the request, reading and rate of the method, after these in words."""
    for key in dict.fromkeys((row["fraction"], row["fidelity"], row["tau"]) for row in rows):
        yield variant_words(*key), [row for row in rows if (row["fraction"], row["fidelity"], row["tau"]) == key]


def honest_costs(rows: Sequence[Row], limit: float) -> list[HonestCost]:
    """A claim for each size and variant that an honest request was made of."""
    return [
        _honest_cost(honest, variant, limit)
        for variant, own in by_variant(rows)
        if (honest := sorted((row for row in own if row["attack"] == "normal"), key=lambda row: row["seed"]))
    ]


def _honest_cost(honest: Sequence[Row], variant: str, limit: float) -> HonestCost:
    whole = [row for row in honest if not row.get("diverged")]
    accuracies = {}
    for measure in MEASURES:
        pairs = [(row[f"{measure}_before"], row[measure]) for row in whole if row[measure] is not None]
        if pairs:
            before, after = np.mean(pairs, axis=0)
            what = "all classes" if measure == "overall" else f"class {whole[0][f'{measure}_name']}"
            accuracies[what] = float(before), float(after)
    weights = [row["weights_changed"] for row in whole if row.get("weights_changed") is not None]
    return HonestCost(
        variant,
        limit,
        accuracies,
        len(whole),
        tuple(row["seed"] for row in honest if row.get("diverged")),
        next((row.get("diverged_because", "") for row in honest if row.get("diverged")), ""),
        any(row[name] != row[f"{name}_before"] for row in whole for name in ANSWERS),
        any(weights) if weights else None,
        any("forget_accuracy" in row for row in honest),
    )
