"""What an audit says of a run: in one line, in one table, for pages, notebooks, terminals and a pipeline."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tabulate import tabulate

from overunlearn_jax.reporting.harm import HarmLine
from overunlearn_jax.reporting.outcomes import (
    COLOURS,
    DESTROYED,
    NOT_APPLICABLE,
    SAFE,
    TONES,
    UNDECIDED,
    VULNERABLE,
    tone,
)
from overunlearn_jax.reporting.table import Table
from overunlearn_jax.reporting.templates import render

CLAIMS_EXPLAINED = (
    "Cost: accuracy of the class after the honest request minus accuracy after this one, mean over seeds. Each end of "
    "an interval is a bound at 95 % confidence by itself: safe where the upper one is allowed, vulnerable where the "
    "lower one is not, undecided between. No interval is finer than one test image or reaches beyond what is possible."
)
_OF_INTEREST = (VULNERABLE, DESTROYED, UNDECIDED)  # the first of these that is among the claims decides


class Claim(Protocol):
    """Something that was to be shown, and what became of it."""

    @property
    def name(self) -> str:
        """What it is about: one claim of an audit has it."""

    @property
    def outcome(self) -> str:
        """What became of it, see `outcomes`."""

    @property
    def passed(self) -> bool:
        """Whether it was shown."""

    @property
    def words(self) -> str:
        """The claim and what became of it, in full."""

    @property
    def headline(self) -> str:
        """What was found, in a short sentence without the outcome."""

    @property
    def weight(self) -> float:
        """How much it matters among claims of its outcome: the headline is the heaviest's."""

    @property
    def variant(self) -> str:
        """Size of the request, reading and rate of the method, see `wording.variant_words`."""

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """For a table: the request, the class, what was found, what is allowed."""

    @property
    def note(self) -> str:
        """What would decide it, or why nothing can be said, without a full stop; empty where the cells say all."""

    @property
    def line(self) -> HarmLine | None:
        """Its line in the picture; None for a claim that is no harm."""


@dataclasses.dataclass(frozen=True, repr=False)
class Judgement:
    """What became of an audit's claims.

    `print` shows it as text, a notebook as a table.

    Attributes:
      claims: everything that was to be shown.
      warnings: what a reader has to know beside them, a sentence each.
      rows: the results rows that were judged, see `rows.REQUIRED_KEYS`.
      service: the audited service's name.
      limit: the harm that a claim allows, a fraction of a class's test accuracy; None: none of the claims is of a harm.
    """

    claims: Sequence[Claim]
    warnings: Sequence[str] = ()
    rows: Sequence[Mapping[str, Any]] = ()
    service: str = ""
    limit: float | None = None

    @property
    def passed(self) -> bool:
        """Whether every claim was shown, of one or more."""
        return bool(self.claims) and all(each.passed for each in self.claims)

    @property
    def outcome(self) -> str:
        """SAFE, VULNERABLE, UNDECIDED or NOT_APPLICABLE.

        One vulnerable claim makes a service vulnerable. Where there is none, an honest request that destroys the model
        leaves nothing to be judged; and one undecided claim is enough to leave the whole undecided.
        """
        if self.passed:
            return SAFE
        decisive = self._decisive
        if decisive is None:
            return UNDECIDED
        return NOT_APPLICABLE if decisive.outcome in (DESTROYED, NOT_APPLICABLE) else decisive.outcome

    @property
    def headline(self) -> str:
        """The answer in a line: the outcome, and the claim that decides."""
        decisive = self._decisive
        if decisive is None:
            return f"{self.outcome.upper()}: no claim was made"
        where = f" [{decisive.variant}]" if len(self.variants) > 1 else ""
        return f"{self.outcome.upper()}: {decisive.headline}{where}"

    @property
    def decisive_variant(self) -> str:
        """The variant that the headline speaks of; empty without claims."""
        return "" if self._decisive is None else self._decisive.variant

    @property
    def counted(self) -> str:
        """How many claims have which outcome, in words."""
        if len(self.claims) == 1:
            return f"1 claim: {self.claims[0].outcome}."
        counts = Counter(each.outcome for each in self.claims)
        return f"{len(self.claims)} claims: {', '.join(f'{count} {outcome}' for outcome, count in counts.items())}."

    @property
    def table(self) -> Table:
        """The claims, a row each, variant by variant; the first cell is the outcome."""
        several = len(self.variants) > 1
        headers = ["Outcome", "Request", "Class", "Cost beyond an honest request", "Allowed"]
        rows = [
            (each.outcome, *each.cells, *([variant] if several else []))
            for variant in self.variants
            for each in self.claims
            if each.variant == variant
        ]
        return Table((*headers, *(["Setting"] if several else [])), rows)

    @property
    def notes(self) -> list[str]:
        """What would decide what is undecided, and why something is not known: each thing once, after what it is of."""
        about: dict[str, list[str]] = {}
        for each in self.claims:
            if each.note:
                request, class_name, *_ = each.cells
                about.setdefault(each.note, []).append(
                    request if each.line is None else f"{request}, class {class_name}"
                )
        malicious = sum(each.line is not None for each in self.claims)
        return [
            f"{'All malicious requests' if len(names) == malicious > 1 else '; '.join(dict.fromkeys(names))}: {note}."
            for note, names in about.items()
        ]

    @property
    def variants(self) -> list[str]:
        """The variants of the claims, in their order."""
        return list(dict.fromkeys(each.variant for each in self.claims))

    def of(self, variant: str) -> "Judgement":
        """The part of it that is of one variant, without warnings."""
        return dataclasses.replace(self, claims=[e for e in self.claims if e.variant == variant], warnings=())

    @property
    def lines(self) -> list[HarmLine]:
        """The lines of its picture."""
        return [each.line for each in self.claims if each.line is not None]

    def __str__(self) -> str:
        text = tabulate(self.table.rows, self.table.headers, disable_numparse=True)
        return "\n".join([self.headline, "", text, "", self.counted, *self.notes, *self.warnings])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: self-contained, without scripts or style sheets, every text escaped."""
        return render("judgement.html.jinja", judgement=self, colours=COLOURS, tones=TONES)

    @property
    def _decisive(self) -> Claim | None:
        of_interest = [outcome for outcome in _OF_INTEREST if any(each.outcome == outcome for each in self.claims)]
        if of_interest:
            candidates = [each for each in self.claims if each.outcome == of_interest[0]]
        elif self.passed:
            candidates = [each for each in self.claims if each.outcome == SAFE] or list(self.claims)
        else:
            candidates = [each for each in self.claims if not each.passed]
        return max(candidates, key=lambda each: each.weight, default=None)

    @property
    def tone(self) -> str:
        """The colour of the outcome, see `outcomes.COLOURS`."""
        return tone(self.outcome)
