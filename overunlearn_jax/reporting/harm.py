"""What each request costs beyond an honest one, line by line: what the picture of a finding is drawn from."""

from collections.abc import Sequence
from typing import NamedTuple

from overunlearn_jax.attack_names import CONTROL, attack_name
from overunlearn_jax.reporting._summarise import NORMAL, SummaryRow
from overunlearn_jax.reporting.outcomes import CONTROL_TONE, PLAIN
from overunlearn_jax.statistics.intervals import Interval

REQUESTED, OTHER = "requested", "other"  # class A, whose samples are requested, and class B


class HarmLine(NamedTuple):
    """One request and one class."""

    request: str  # as a reader calls it, with a capital
    class_name: str
    role: str  # of the class: REQUESTED or OTHER
    harm: Interval  # fractions: accuracy after the honest request minus accuracy after this one; no number: count 0
    tone: str  # its colour, see `outcomes.COLOURS`
    in_place: str = ""  # what is to be read where there is no number, or beside it


def harm_lines(summary: Sequence[SummaryRow]) -> list[HarmLine]:
    """Returns the lines of one group's summary that nobody has judged: class A's, then class B's."""
    lines = []
    for role in (REQUESTED, OTHER):
        for row in summary:
            if row.attack == NORMAL:
                continue
            harm = row.over_unlearning_a if role == REQUESTED else row.over_unlearning_b
            assert harm is not None  # only a normal row has none
            setting = row.setting
            lines.append(
                HarmLine(
                    attack_name(row.attack, at_start=True),
                    setting.class_a_name if role == REQUESTED else setting.class_b_name,
                    role,
                    harm,
                    CONTROL_TONE if row.attack == CONTROL else PLAIN,
                    _diverged(row),
                )
            )
    return lines


def _diverged(row: SummaryRow) -> str:
    if not row.diverged:
        return ""
    return "diverged" if len(row.diverged) == len(row.seeds) else f"{len(row.diverged)} of {len(row.seeds)} diverged"
