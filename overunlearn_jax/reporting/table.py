"""The tables of a group, as text cells that Markdown and HTML both lay out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from overunlearn_jax.attack_names import attack_name
from overunlearn_jax.reporting._summarise import NORMAL, Setting, SummaryRow
from overunlearn_jax.reporting.wording import (
    NOTHING,
    count,
    decimals,
    heading,
    named_row,
    percent,
    percent_left,
    percent_of,
    what_differs,
)

# (label, attack, {measure: fraction}); see `results_table`.
ReferenceRow = tuple[str, str, Mapping[str, Any]]

MEASURES = {
    "overall": "overall %",
    "class_a": "class A %",
    "class_b": "class B %",
    "over_unlearning_a": "over-unlearning I (A)",
    "over_unlearning_b": "over-unlearning II (B)",
}
BEFORE = "before"  # the attack of a reference row for the model before unlearning


class Table(NamedTuple):
    """Text cells; every row is as long as the headers."""

    headers: tuple[str, ...]
    rows: list[tuple[str, ...]]


REQUESTS_EXPLAINED = (
    "Means over seeds. Submitted: samples in the request. Refused, where the service has defences: those of them that "
    "were not let through, and not forgotten. Skipped: samples that the model was already wrong about, and that were "
    "never tried. Failed: samples that never crossed the decision boundary. Queries: images sent to the "
    "service for the whole request. Labels as predicted: submitted labels that equal the service's answer. L2: length "
    "of a sample's change, in the data set's units of pixels. SSIM: likeness to the original, 1 for the same image."
)


def results_table(
    summary: Sequence[SummaryRow], reference_rows: Sequence[ReferenceRow] | None = None, *, harms: bool = True
) -> Table:
    """Returns what one group's requests did: the model before unlearning, then one line per attack.

    A reference row is (label, attack, values). Its values are fractions under the keys of `MEASURES`, printed
    in columns of their own; values under the name of a `Setting` field are not printed but restrict the row
    to groups with that very setting. The attack "before" stands for the model before unlearning.

    Args:
      summary: the summary rows of one group, at least one.
      reference_rows: published numbers to print beside these.
      harms: whether over-unlearning has columns, or is told elsewhere.

    Raises:
      ValueError: if a reference row has a key that is neither a measure nor a setting.
    """
    first = summary[0]
    references = _references_of(first.setting, reference_rows or ())
    class_a, class_b = first.setting.class_a_name, first.setting.class_b_name
    columns: list[tuple[str, str, Callable[[SummaryRow], str]]] = [
        # header, the first line's cell (before unlearning), the cell of an attack
        ("Request", "Before unlearning", named_row),
        (f"Over-unlearning I: class {class_a}, points", "", lambda row: percent_left(row.over_unlearning_a, row)),
        (f"Over-unlearning II: class {class_b}, points", "", lambda row: percent_left(row.over_unlearning_b, row)),
    ]
    if not harms:
        columns = columns[:1]
    columns += [
        (f"Class {class_a} left, %", percent(first.class_a_before), lambda row: percent_left(row.class_a, row)),
        (f"Class {class_b} left, %", percent(first.class_b_before), lambda row: percent_left(row.class_b, row)),
        ("All classes left, %", percent(first.overall_before), lambda row: percent_left(row.overall, row)),
    ]
    for label, measure in dict.fromkeys((label, key) for label, _, values in references for key in values):
        columns.append(
            (
                f"{label}: {MEASURES[measure]}",
                _reference(references, label, BEFORE, measure),
                lambda row, label=label, measure=measure: _reference(references, label, row.attack, measure),  # type: ignore[misc]
            )
        )
    first_line = tuple(before for _, before, _ in columns)
    lines = [tuple(cell(row) for _, _, cell in columns) for row in summary]
    return Table(tuple(header for header, _, _ in columns), [first_line, *lines])


def requests_table(summary: Sequence[SummaryRow]) -> Table:
    """Returns what one group's requests hold and cost, one line per attack; see `REQUESTS_EXPLAINED`."""
    columns: list[tuple[str, Callable[[SummaryRow], str]]] = [
        ("Request", named_row),
        ("Seeds", lambda row: str(len(row.seeds))),
        ("Submitted", lambda row: count(row.submitted)),
        *([("Refused", lambda row: count(row.refused))] if any(row.refused >= 0 for row in summary) else []),
        ("Skipped", lambda row: count(row.skipped)),
        ("Failed", lambda row: count(row.failed)),
        ("Queries", lambda row: count(row.queries)),
        ("Labels as predicted, %", lambda row: percent_of(row.label_agreement)),
        ("L2", lambda row: decimals(row.l2_mean, 3)),
        ("SSIM", lambda row: decimals(row.ssim_mean, 4)),
    ]
    return Table(tuple(header for header, _ in columns), [tuple(cell(row) for _, cell in columns) for row in summary])


def overview_table(groups: Sequence[Sequence[SummaryRow]]) -> Table:
    """Returns what each request costs the requested class beyond an honest one, one line per group.

    Args:
      groups: the summary rows of each group of a run, two or more.
    """
    settings = [group[0].setting for group in groups]
    attacks = list(dict.fromkeys(row.attack for group in groups for row in group if row.attack != NORMAL))
    lines = []
    for setting, group in zip(settings, groups, strict=True):
        of_attack = {row.attack: row for row in group}
        cells = [
            percent_left(of_attack[attack].over_unlearning_a, of_attack[attack]) if attack in of_attack else NOTHING
            for attack in attacks
        ]
        lines.append((what_differs(setting, settings) or heading(setting, settings), _by_itself(of_attack), *cells))
    return Table(
        ("Setting", "Honest request, by itself", *(attack_name(attack, at_start=True) for attack in attacks)), lines
    )


def _by_itself(of_attack: Mapping[str, SummaryRow]) -> str:
    """Points of the requested class that the honest request costs: what a rate is chosen by."""
    if NORMAL not in of_attack:
        return NOTHING
    honest = of_attack[NORMAL]
    return percent_of(honest.class_a_before.mean - honest.class_a.mean)


def _references_of(setting: Setting, reference_rows: Sequence[ReferenceRow]) -> list[ReferenceRow]:
    """Returns the reference rows that speak of this setting, with their measures only."""
    kept: list[ReferenceRow] = []
    for label, attack, values in reference_rows:
        unknown = [key for key in values if key not in MEASURES and key not in Setting._fields]
        if unknown:
            raise ValueError(
                f"reference row {label!r} has the unknown key {unknown[0]!r}; "
                f"measures are {', '.join(MEASURES)}, settings are {', '.join(Setting._fields)}."
            )
        if all(getattr(setting, key) == value for key, value in values.items() if key in Setting._fields):
            kept.append((label, attack, {key: value for key, value in values.items() if key in MEASURES}))
    return kept


def _reference(references: Sequence[ReferenceRow], label: str, attack: str, measure: str) -> str:
    for other_label, other_attack, values in references:
        if (other_label, other_attack) == (label, attack) and measure in values:
            return percent_of(values[measure])
    return NOTHING
