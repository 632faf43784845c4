"""What an audit says of a run, for its pages and for a pipeline."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Claim(Protocol):
    """Something that was to be shown, and what became of it."""

    @property
    def name(self) -> str:
        """What it is about: one claim of an audit has it."""

    @property
    def outcome(self) -> str:
        """What became of it, in a word."""

    @property
    def passed(self) -> bool:
        """Whether it was shown."""

    @property
    def words(self) -> str:
        """The claim and what became of it, for a reader."""


class Judgement(NamedTuple):
    """Whether all claims were shown, and what a reader has to be warned of."""

    claims: Sequence[Claim]
    warnings: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        """Whether every claim was shown."""
        return all(each.passed for each in self.claims)

    @property
    def headline(self) -> str:
        """The answer in a line."""
        if self.passed:
            return f"Audit passed: all {len(self.claims)} claims were shown."
        failed = Counter(each.outcome for each in self.claims if not each.passed)
        counts = ", ".join(f"{count} {outcome}" for outcome, count in failed.items())
        return f"Audit not passed: of {len(self.claims)} claims {counts}."
