"""The one table of a group, as text cells that Markdown and HTML both lay out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from overunlearn_jax.reporting._summarise import Setting, SummaryRow
from overunlearn_jax.reporting.wording import NOTHING, attack_name, count, decimals, percent, percent_left, percent_of

# (label, attack, {measure: fraction}); see `group_table`.
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


def group_table(summary: Sequence[SummaryRow], reference_rows: Sequence[ReferenceRow] | None = None) -> Table:
    """Returns one group's table: the model before unlearning, then one line per attack.

    A reference row is (label, attack, values). Its values are fractions under the keys of `MEASURES`, printed
    in columns of their own; values under the name of a `Setting` field are not printed but restrict the row
    to groups with that very setting. The attack "before" stands for the model before unlearning.

    Args:
      summary: the summary rows of one group, at least one.
      reference_rows: published numbers to print beside these.

    Raises:
      ValueError: if a reference row has a key that is neither a measure nor a setting.
    """
    references = _references_of(summary[0].setting, reference_rows or ())
    columns: list[tuple[str, str, Callable[[SummaryRow], str]]] = [
        # header, the first line's cell (before unlearning), the cell of an attack
        ("Request", "before unlearning", lambda row: attack_name(row.attack)),
        ("Seeds", "", lambda row: str(len(row.seeds))),
        ("Overall %", percent(summary[0].overall_before), lambda row: percent_left(row.overall, row)),
        ("Class A %", percent(summary[0].class_a_before), lambda row: percent_left(row.class_a, row)),
        ("Class B %", percent(summary[0].class_b_before), lambda row: percent_left(row.class_b, row)),
        ("Over-unlearning I (A), points", "", lambda row: percent_left(row.over_unlearning_a, row)),
        ("Over-unlearning II (B), points", "", lambda row: percent_left(row.over_unlearning_b, row)),
        ("Submitted", "", lambda row: count(row.submitted)),
        ("Skipped", "", lambda row: count(row.skipped)),
        ("Failed", "", lambda row: count(row.failed)),
        ("Queries", "", lambda row: count(row.queries)),
        ("Labels as predicted %", "", lambda row: percent_of(row.label_agreement)),
        ("L2", "", lambda row: decimals(row.l2_mean, 3)),
        ("SSIM", "", lambda row: decimals(row.ssim_mean, 4)),
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
