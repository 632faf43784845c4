"""A summary that reads well as plain text and on a code-hosting page."""

from collections.abc import Mapping, Sequence
from typing import Any

from overunlearn_jax.reporting._findings import FOOTNOTE, findings, verdict
from overunlearn_jax.reporting._summarise import groups, summarise
from overunlearn_jax.reporting.forgetting import EXPLAINED, forgetting_table
from overunlearn_jax.reporting.judgement import Judgement
from overunlearn_jax.reporting.table import ReferenceRow, Table, group_table
from overunlearn_jax.reporting.wording import caption, heading


def summary_markdown(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str,
    command: str | None = None,
    notes: Sequence[str] = (),
    reference_rows: Sequence[ReferenceRow] | None = None,
    judgement: Judgement | None = None,
) -> str:
    """Returns a Markdown page: verdict, then per group a table, what it was measured on, and what it shows.

    Args:
      rows: results rows, see `rows.REQUIRED_KEYS`.
      title: the page's heading.
      command: the command line that made the rows.
      notes: Markdown printed at the end, one bullet each.
      reference_rows: published numbers to print beside these, see `table.group_table`.
      judgement: of an audit; stands first.

    Raises:
      ValueError: if two rows have the same setting, attack and seed, or a reference row has an unknown key.
    """
    summary = summarise(rows)
    blocks = [f"# {title}"]
    if judgement is not None:
        claims = [f"{'passed' if claim.passed else 'NOT PASSED'}: {claim.words}" for claim in judgement.claims]
        blocks += [f"**{_escaped(judgement.headline)}**", *map(_escaped, judgement.warnings), _bullets(claims)]
    blocks.append(f"**{verdict(summary)}**")
    if command is not None:
        blocks.append(f"```\n{command}\n```")
    grouped = groups(rows)
    settings = list(grouped)
    for setting, of_setting in grouped.items():
        of_group = [row for row in summary if row.setting == setting]
        blocks.append(f"## {_escaped(heading(setting, settings))}")
        blocks.append(_markdown_table(group_table(of_group, reference_rows)))
        blocks.append(_escaped(caption(of_group)))
        blocks.append(_bullets(findings(of_group)))
        if forgotten := forgetting_table(of_setting):
            blocks += [EXPLAINED, _markdown_table(forgotten)]
    if notes:
        blocks.append("## Notes\n\n" + "\n".join(f"- {note}" for note in notes))
    blocks.append(FOOTNOTE)
    return "\n\n".join(blocks) + "\n"


def _markdown_table(table: Table) -> str:
    alignment = "|" + "|".join([":--"] + ["--:"] * (len(table.headers) - 1)) + "|"
    lines = [_table_line(table.headers), alignment, *(_table_line(row) for row in table.rows)]
    return "\n".join(lines)


def _table_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {_escaped(sentence)}" for sentence in sentences)


def _escaped(text: str) -> str:
    """Keeps names such as "a|b" or "<x>" from being read as Markdown."""
    for character in ("\\", "|", "*", "`", "<"):
        text = text.replace(character, "\\" + character)
    return text
