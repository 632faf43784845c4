"""One self-contained page: nothing is loaded from elsewhere, so it can be mailed and read years later."""

import base64
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from overunlearn_jax.files import json_text, write_bytes
from overunlearn_jax.reporting._findings import FOOTNOTE, findings, verdict
from overunlearn_jax.reporting._summarise import groups, summarise
from overunlearn_jax.reporting.forgetting import EXPLAINED, forgetting_table
from overunlearn_jax.reporting.judgement import Judgement
from overunlearn_jax.reporting.table import ReferenceRow, group_table
from overunlearn_jax.reporting.wording import caption, heading

_TEMPLATE = "report.html.jinja"


class ReportFigure(NamedTuple):
    """A PNG file, and in words what it shows: its caption, and all that a reader who cannot see it gets."""

    path: str | os.PathLike[str]
    alt: str


def write_report(
    path: str | os.PathLike[str],
    rows: Sequence[Mapping[str, Any]],
    figures: Sequence[tuple[str | os.PathLike[str], str]],
    manifest: Mapping[str, Any],
    config: Mapping[str, Any],
    title: str,
    *,
    reference_rows: Sequence[ReferenceRow] | None = None,
    judgement: Judgement | None = None,
) -> Path:
    """Writes the report of a run as one HTML page, the whole file or nothing.

    Args:
      path: the HTML file to write.
      rows: results rows, see `rows.REQUIRED_KEYS`.
      figures: (PNG file, alternative text) pairs such as `ReportFigure`; the pictures are embedded.
      manifest: what the run was made with, see `manifest.manifest`.
      config: the run's settings.
      title: the page's title.
      reference_rows: published numbers to print beside these, see `table.group_table`.
      judgement: of an audit; stands first.

    Returns:
      The path.

    Raises:
      ValueError: if a figure has no alternative text or is no PNG, or as `summarise` does.
      OSError: if a figure cannot be read or the page cannot be written.
    """
    summary = summarise(rows)
    grouped = groups(rows)
    settings = list(grouped)
    sections = []
    for setting, of_setting in grouped.items():
        of_group = [row for row in summary if row.setting == setting]
        sections.append(
            {
                "heading": heading(setting, settings),
                "table": group_table(of_group, reference_rows),
                "caption": caption(of_group),
                "findings": findings(of_group),
                "forgetting": forgetting_table(of_setting),
            }
        )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(_TEMPLATE).render(
        title=title,
        verdict=verdict(summary),
        judgement=judgement,
        forgetting_explained=EXPLAINED,
        sections=sections,
        figures=[_embedded(Path(file), alt) for file, alt in figures],
        footnote=FOOTNOTE,
        config=json_text(dict(config), indent=2),
        manifest=json_text(dict(manifest), indent=2),
    )
    return write_bytes(path, page.encode())


def _embedded(path: Path, alt: str) -> dict[str, str]:
    if not alt.strip():
        raise ValueError(f"figure {path} needs an alternative text.")
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError(f"figure {path} is not a PNG file.")
    return {"alt": alt, "source": "data:image/png;base64," + base64.b64encode(content).decode("ascii")}
