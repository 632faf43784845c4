"""What the Markdown and the HTML page of a run both show, group by group, the group of the finding first."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from overunlearn_jax.reporting._findings import headline, largest, notes
from overunlearn_jax.reporting._summarise import Setting, SummaryRow, groups, summarise
from overunlearn_jax.reporting.forgetting import forgetting_table
from overunlearn_jax.reporting.harm import HarmLine, harm_lines
from overunlearn_jax.reporting.judgement import Judgement
from overunlearn_jax.reporting.table import ReferenceRow, Table, overview_table, requests_table, results_table
from overunlearn_jax.reporting.wording import caption, heading, variant_words


class Section(NamedTuple):
    """One group of rows that may be compared with each other."""

    setting: Setting
    heading: str
    judgement: Judgement | None  # of its claims
    lines: list[HarmLine]  # of its picture
    results: Table
    requests: Table
    caption: str
    notes: list[str]
    forgetting: Table | None


class Contents(NamedTuple):
    """All of a page."""

    headline: str
    sections: list[Section]
    overview: Table | None  # of two sections or more that nobody has judged


def contents(
    rows: Sequence[Mapping[str, Any]],
    reference_rows: Sequence[ReferenceRow] | None = None,
    judgement: Judgement | None = None,
) -> Contents:
    """Returns what a page of these rows shows.

    Raises:
      ValueError: if two rows have the same setting, attack and seed, or a reference row has an unknown key.
    """
    summary = summarise(rows)
    grouped = groups(rows)
    settings = list(grouped)
    of_setting = {setting: [row for row in summary if row.setting == setting] for setting in settings}
    order = _finding_first(settings, summary, judgement)
    sections = []
    for setting in order:
        own = of_setting[setting]
        judged = judgement and judgement.of(variant_of(setting))
        sections.append(
            Section(
                setting,
                heading(setting, settings),
                judged,
                lines_of(own, judged),
                results_table(own, reference_rows, harms=judgement is None),
                requests_table(own),
                caption(own),
                notes(own),
                forgetting_table(grouped[setting]),
            )
        )
    several = len(sections) > 1 and judgement is None
    return Contents(
        headline(summary) if judgement is None else judgement.headline,
        sections,
        overview_table([of_setting[setting] for setting in settings]) if several else None,
    )


def lines_of(summary: Sequence[SummaryRow], judgement: Judgement | None) -> list[HarmLine]:
    """Returns the lines of one group's picture: those of its claims where there are any, else the summary's own."""
    return harm_lines(summary) if judgement is None else judgement.lines


def variant_of(setting: Setting) -> str:
    """Returns the words by which claims call a setting."""
    return variant_words(setting.fraction, setting.fidelity, setting.tau)


def _finding_first(
    settings: Sequence[Setting], summary: Sequence[SummaryRow], judgement: Judgement | None
) -> list[Setting]:
    if judgement is None:
        first = largest(summary)
        return sorted(settings, key=lambda setting: setting != first)
    return sorted(settings, key=lambda setting: variant_of(setting) != judgement.decisive_variant)
