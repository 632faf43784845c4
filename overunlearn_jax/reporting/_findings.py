"""What the numbers say, in sentences that follow from them alone."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from overunlearn_jax.reporting._summarise import NORMAL, SummaryRow
from overunlearn_jax.reporting.wording import attack_name, heading, percent, percent_mean
from overunlearn_jax.statistics.intervals import Interval

CONTROL = "noise"
FOOTNOTE = (
    "Brackets are 95 % Student-t intervals over seeds, each for itself (not widened for the number of "
    "comparisons). Over-unlearning is the accuracy after the honest request minus the accuracy after this "
    "one, in points, paired over seeds: above zero, this request makes the model forget more."
)
_EVEN = 0.0005  # a difference that one decimal of a point shows as 0.0


class _Comparison(NamedTuple):
    """One attack against the honest request, on one class."""

    row: SummaryRow
    letter: str  # "A" or "B"
    class_name: str
    interval: Interval

    @property
    def is_shown(self) -> bool:
        return self.interval.low > 0.0  # false for NaN: one seed shows nothing


def findings(summary: Sequence[SummaryRow]) -> list[str]:
    """Returns one sentence per attack and class for one group, computed from its intervals."""
    sentences = []
    for row in summary:
        if row.diverged:
            sentences.append(_diverged_sentence(row))
        if row.attack == NORMAL:
            if len(row.diverged) < len(row.seeds):
                sentences.append(_honest_sentence(row))
            continue
        comparisons = _comparisons([row])
        sentences.extend(_sentence(comparison) for comparison in comparisons)
        if not comparisons and not row.diverged:
            sentences.append(f"{attack_name(row.attack)} shares no seed with an honest request: the cost is unknown.")
        elif row.unpaired_seeds:
            sentences.append(
                f"{attack_name(row.attack)}: left out of the difference are {row.unpaired_seeds} seeds that "
                "only one of the two requests has."
            )
    return sentences


def verdict(summary: Sequence[SummaryRow]) -> str:
    """Returns the short answer of a whole report: was over-unlearning found, and the largest of it.

    A difference counts as found when its 95 % interval lies above zero. The noise control is no attack: it is
    reported beside the largest difference, not counted. Requests after which unlearning diverged are named first.
    """
    diverged = dict.fromkeys(attack_name(row.attack) for row in summary if row.diverged)
    opening = f"Unlearning diverged after these requests: {', '.join(diverged)}. " if diverged else ""
    return opening + _of_comparisons(summary)


def _of_comparisons(summary: Sequence[SummaryRow]) -> str:
    comparisons = _comparisons([row for row in summary if row.attack != CONTROL])
    if not comparisons:
        return "Nothing to compare: no malicious request shares a seed with an honest one."
    with_interval = [comparison for comparison in comparisons if not math.isnan(comparison.interval.low)]
    shown = [comparison for comparison in comparisons if comparison.is_shown]
    largest = max(shown or comparisons, key=lambda comparison: comparison.interval.mean)
    if shown:
        opening = (
            f"Over-unlearning found: {len(shown)} of {len(with_interval)} comparisons with an honest request "
            "have an interval above zero."
        )
    elif with_interval:
        opening = (
            "Over-unlearning not shown: no malicious request has an interval above zero in "
            f"{len(with_interval)} comparisons with an honest one."
        )
    else:
        opening = "One seed only, so nothing is shown either way: run more seeds for an interval."
    settings = list(dict.fromkeys(row.setting for row in summary))
    where = f" ({heading(largest.row.setting, settings)})" if len(settings) > 1 else ""
    return " ".join([opening, f"Largest difference{where}: {_sentence(largest)}", *_control_sentence(largest, summary)])


def _diverged_sentence(row: SummaryRow) -> str:
    seeds = f"{'seed' if len(row.diverged) == 1 else 'seeds'} {', '.join(map(str, row.diverged))}"
    return f"{attack_name(row.attack)}: unlearning diverged for {seeds}: no model is left to measure."


def _honest_sentence(row: SummaryRow) -> str:
    return (
        f"The honest request itself takes class {row.setting.class_a_name} from "
        f"{percent(row.class_a_before)} to {percent(row.class_a)} % and overall accuracy from "
        f"{percent(row.overall_before)} to {percent(row.overall)} %."
    )


def _comparisons(summary: Sequence[SummaryRow]) -> list[_Comparison]:
    found = []
    for row in summary:
        setting = row.setting
        for letter, class_name, interval in (
            ("A", setting.class_a_name, row.over_unlearning_a),
            ("B", setting.class_b_name, row.over_unlearning_b),
        ):
            if interval is not None and interval.count > 0:
                found.append(_Comparison(row, letter, class_name, interval))
    return found


def _sentence(comparison: _Comparison) -> str:
    interval = comparison.interval
    if abs(interval.mean) < _EVEN:
        cost = f"costs class {comparison.class_name} as much as an honest request, to 0.1 points"
    elif interval.mean > 0:
        cost = f"costs class {comparison.class_name} {percent_mean(interval)} points more than an honest request"
    else:
        interval = Interval(-interval.mean, -interval.high, -interval.low, interval.count)
        cost = f"costs class {comparison.class_name} {percent_mean(interval)} points less than an honest request"
    opening = f"{attack_name(comparison.row.attack)} {cost}"
    if math.isnan(interval.low):
        return f"{opening}; with one seed there is no interval."
    brackets = percent(interval).partition(" ")[2]
    if interval.low > 0 or interval.high < 0:
        return f"{opening} {brackets}; the interval excludes zero."
    return f"{opening} {brackets}; the interval includes zero, so no difference is shown."


def _control_sentence(largest: _Comparison, summary: Sequence[SummaryRow]) -> list[str]:
    controls = [row for row in summary if row.attack == CONTROL and row.setting == largest.row.setting]
    return [_sentence(comparison) for comparison in _comparisons(controls) if comparison.letter == largest.letter]
