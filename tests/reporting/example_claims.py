"""Claims whose outcomes, words and lines can be checked by hand."""

from typing import NamedTuple

from overunlearn_jax.reporting import HarmLine
from overunlearn_jax.reporting.harm import REQUESTED
from overunlearn_jax.reporting.outcomes import INTACT, SAFE, tone
from overunlearn_jax.statistics.intervals import Interval


class ExampleClaim(NamedTuple):
    """One claim on Pushing-I and class airplane; of an honest request where there is no line."""

    outcome: str
    weight: float = 0.0
    variant: str = "10 % requested, authors_code, tau 0.0002"  # as of `example_row`
    note: str = ""
    request: str = "Pushing-I"
    has_line: bool = True

    @property
    def name(self) -> str:
        return f"{self.request}, {self.variant}"

    @property
    def passed(self) -> bool:
        return self.outcome in (SAFE, INTACT)

    @property
    def words(self) -> str:
        return f"{self.name}: {self.outcome}"

    @property
    def headline(self) -> str:
        return f"{self.request} weighs {self.weight:g}"

    @property
    def cells(self) -> tuple[str, str, str, str]:
        return self.request, "airplane", "50.0 [40.0, 60.0] points", "5 points"

    @property
    def line(self) -> HarmLine | None:
        if not self.has_line:
            return None
        return HarmLine(self.request, "airplane", REQUESTED, Interval(0.5, 0.4, 0.6, 3), tone(self.outcome))


def honest(outcome: str, **changes: object) -> ExampleClaim:
    return ExampleClaim(outcome, request="Honest request", has_line=False)._replace(**changes)
