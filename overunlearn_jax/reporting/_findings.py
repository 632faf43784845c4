"""What a run found, in one sentence, and what no cell of its tables says."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from overunlearn_jax.attack_names import CONTROL, attack_name
from overunlearn_jax.reporting._summarise import NORMAL, Setting, SummaryRow
from overunlearn_jax.reporting.wording import SEVERAL_SEEDS, costs, percent, seeds_words, what_differs
from overunlearn_jax.statistics.intervals import Interval

FOOTNOTE = (
    "Brackets: 95 % Student-t intervals over seeds, each for itself (not widened for the number of comparisons). None "
    "is finer than one test image, however well a few seeds agree, or reaches beyond what is possible: 0 and 100 % of "
    "an accuracy, and all that a class had, or lacked, after the honest request. Over-unlearning: accuracy after the "
    "honest request minus accuracy after this one, in points, paired over seeds; above zero, this request makes the "
    "model forget more."
)
ONE_SEED = f"One seed has no interval: {SEVERAL_SEEDS} or more gives one."


class _Comparison(NamedTuple):
    """One attack against the honest request, on one class."""

    row: SummaryRow
    letter: str  # "A" or "B"
    class_name: str
    interval: Interval

    @property
    def is_shown(self) -> bool:
        return self.interval.low > 0.0  # false for NaN: one seed shows nothing


def headline(summary: Sequence[SummaryRow]) -> str:
    """Returns the short answer of a run: was over-unlearning found, and the largest of it.

    A difference counts as found when its 95 % interval lies above zero. The noise control is no attack: it stands
    beside the largest difference and is not counted. Requests after which unlearning diverged are named first.
    """
    diverged = dict.fromkeys(attack_name(row.attack) for row in summary if row.diverged)
    opening = f"Unlearning diverged after {', '.join(diverged)}. " if diverged else ""
    return opening + _of_comparisons(summary)


def largest(summary: Sequence[SummaryRow]) -> Setting | None:
    """Returns the setting that the headline speaks of; None where nothing is compared."""
    found = _largest(_comparisons(summary))
    return found.row.setting if found else None


def notes(summary: Sequence[SummaryRow]) -> list[str]:
    """Returns what the cells of one group's tables do not say: lost seeds, missing partners, a single seed."""
    told = []
    if all(len(row.seeds) == 1 for row in summary):
        told.append(ONE_SEED)
    for row in summary:
        name = attack_name(row.attack, at_start=True)
        if row.diverged:
            told.append(f"{name}: unlearning diverged for {seeds_words(row.diverged)}: no model is left to measure.")
        if row.attack == NORMAL:
            continue
        if row.unpaired_seeds and not _comparisons([row], with_control=True):
            told.append(f"{name} shares no seed with an honest request: what it costs beyond one is unknown.")
        elif row.unpaired_seeds:
            told.append(
                f"{name}: left out of what it costs beyond an honest request are {row.unpaired_seeds} seeds that only "
                "one of the two has."
            )
    return told


def _of_comparisons(summary: Sequence[SummaryRow]) -> str:
    comparisons = _comparisons(summary)
    found = _largest(comparisons)
    if found is None:
        return "Nothing to compare: no malicious request shares a seed with an honest one."
    with_interval = [each for each in comparisons if not math.isnan(each.interval.low)]
    shown = [each for each in comparisons if each.is_shown]
    settings = list(dict.fromkeys(row.setting for row in summary))
    where = f" ({what_differs(found.row.setting, settings)})" if len(settings) > 1 else ""
    cost = costs(found.row.attack, found.class_name, found.interval.mean, whole=False)
    sentence = f"{cost}{_brackets(found.interval)}{where}"
    beside = _control(found, summary)
    if not with_interval:
        return f"One seed, so no interval: {sentence}{beside}. {SEVERAL_SEEDS} or more says how sure that is."
    counted = f" Above zero: {len(shown)} of {len(with_interval)} comparisons." if len(settings) > 1 else ""
    if shown:
        return f"Over-unlearning found: {sentence}{beside}.{counted}"
    return f"Over-unlearning not shown: no interval lies above zero. The largest difference: {sentence}{beside}."


def _brackets(interval: Interval) -> str:
    """The interval of the cost; of what is said as "less than", with its signs turned."""
    if math.isnan(interval.low):
        return ""
    turned = Interval(-interval.mean, -interval.high, -interval.low, interval.count) if interval.mean < 0 else interval
    return f" {percent(turned).partition(' ')[2]}"


def _control(found: _Comparison, summary: Sequence[SummaryRow]) -> str:
    """What the noise control costs the same class, as the end of the sentence."""
    controls = [row for row in summary if row.attack == CONTROL and row.setting == found.row.setting]
    for each in _comparisons(controls, with_control=True):
        if each.letter == found.letter:
            return f"; the {attack_name(CONTROL)}, {percent(each.interval)}"
    return ""


def _largest(comparisons: Sequence[_Comparison]) -> _Comparison | None:
    shown = [each for each in comparisons if each.is_shown]
    return max(shown or comparisons, key=lambda each: each.interval.mean, default=None)


def _comparisons(summary: Sequence[SummaryRow], *, with_control: bool = False) -> list[_Comparison]:
    found = []
    for row in summary:
        if row.attack == CONTROL and not with_control:
            continue
        setting = row.setting
        for letter, class_name, interval in (
            ("A", setting.class_a_name, row.over_unlearning_a),
            ("B", setting.class_b_name, row.over_unlearning_b),
        ):
            if interval is not None and interval.count > 0:
                found.append(_Comparison(row, letter, class_name, interval))
    return found
