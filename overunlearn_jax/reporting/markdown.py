"""A summary that reads well as plain text and on a code-hosting page."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from overunlearn_jax.reporting._findings import FOOTNOTE
from overunlearn_jax.reporting._summarise import Setting
from overunlearn_jax.reporting.forgetting import EXPLAINED
from overunlearn_jax.reporting.judgement import CLAIMS_EXPLAINED, Judgement
from overunlearn_jax.reporting.sections import Section, contents
from overunlearn_jax.reporting.table import REQUESTS_EXPLAINED, ReferenceRow, Table

_FOLD, _END = "<details>", "</details>"
OVERVIEW_EXPLAINED = (
    "Over-unlearning I in each setting: points of the requested class beyond an honest request. By itself: points that "
    "the honest request costs it, by which a rate is chosen."
)


def summary_markdown(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str,
    command: str | None = None,
    notes: Sequence[str] = (),
    reference_rows: Sequence[ReferenceRow] | None = None,
    judgement: Judgement | None = None,
    pictures: Mapping[Setting, tuple[str, str]] | None = None,
) -> str:
    """Returns a Markdown page: the finding and its picture, then a table per group; all else is folded.

    Args:
      rows: results rows, see `rows.REQUIRED_KEYS`.
      title: the page's heading.
      command: the command line that made the rows.
      notes: Markdown printed at the end, one bullet each.
      reference_rows: published numbers to print beside these, see `table.results_table`.
      judgement: of an audit; stands first.
      pictures: for a group, where its picture lies, relative to the page, and what it shows in words.

    Raises:
      ValueError: if two rows have the same setting, attack and seed, or a reference row has an unknown key.
    """
    page = contents(rows, reference_rows, judgement)
    pictures = pictures or {}
    blocks = [f"# {_escaped(title)}", f"**{_escaped(page.headline)}**"]
    if page.sections:
        first, *others = page.sections
        blocks += _picture(first, pictures)
        if judgement is not None:
            blocks += [_escaped(judgement.counted), *map(_escaped, judgement.warnings)]
        if judgement is None or others:
            blocks.append(f"## {_escaped(first.heading)}")
        blocks += [*_claims(first), *_section(first)]
        if page.overview is not None:
            blocks += ["## All settings", OVERVIEW_EXPLAINED, _markdown_table(page.overview)]
        for section in others:
            outcome = "" if section.judgement is None else f": {section.judgement.outcome}"
            inside = [*_picture(section, pictures), *_claims(section), *_section(section)]
            blocks += _folded(section.heading + outcome, inside)
        blocks += [FOOTNOTE] if judgement is None else []
    made = [] if command is None else [f"```\n{command}\n```"]
    made += ["\n".join(f"- {note}" for note in notes)] if notes else []
    if made:
        blocks += _folded("How it was made", made)
    return "\n\n".join(blocks) + "\n"


def without_folds(markdown: str) -> str:
    """Returns a page without what is folded, for a terminal, which can fold nothing."""
    kept: list[str] = []
    depth = 0
    for line in markdown.splitlines():
        depth += line == _FOLD
        if depth == 0 and (line or kept[-1:] != [""]):
            kept.append(line)
        depth -= line == _END
    return "\n".join(kept).rstrip("\n") + "\n"


def _section(section: Section) -> list[str]:
    results = [_markdown_table(section.results)]
    if section.judgement is not None:
        results = _folded("What is left of the model: accuracies after each request", [*results, FOOTNOTE])
    blocks = [*results, _escaped(section.caption)]
    if section.notes:
        blocks.append("\n".join(f"- {_escaped(note)}" for note in section.notes))
    if section.forgetting is not None:
        blocks += ["### Did it forget?", _markdown_table(section.forgetting)]
        blocks += _folded("What these columns mean", [EXPLAINED])
    return blocks + _folded(
        "The requests: samples, queries, likeness to the originals",
        [_markdown_table(section.requests), REQUESTS_EXPLAINED],
    )


def _claims(section: Section) -> list[str]:
    if section.judgement is None:
        return []
    blocks = [_markdown_table(section.judgement.table, left=5), CLAIMS_EXPLAINED]
    if section.judgement.notes:
        blocks.append("\n".join(f"- {_escaped(note)}" for note in section.judgement.notes))
    return blocks


def _picture(section: Section, pictures: Mapping[Setting, tuple[str, str]]) -> list[str]:
    if section.setting not in pictures:
        return []
    path, words = pictures[section.setting]
    return [f"![{_escaped(words)}]({path})"]


def _folded(title: str, blocks: Sequence[str]) -> list[str]:
    return [f"{_FOLD}\n<summary>{html.escape(title)}</summary>", *blocks, _END]


def _markdown_table(table: Table, left: int = 1) -> str:
    """The table; its first columns, `left` of them, are text and the others numbers."""
    alignment = "|" + "|".join([":--"] * left + ["--:"] * (len(table.headers) - left)) + "|"
    lines = [_table_line(table.headers), alignment, *(_table_line(row) for row in table.rows)]
    return "\n".join(lines)


def _table_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    """Keeps names such as "a|b" or "<x>" from being read as Markdown."""
    for character in ("\\", "|", "*", "`", "<"):
        text = text.replace(character, "\\" + character)
    return text
