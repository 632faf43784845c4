"""One self-contained page: nothing is loaded from elsewhere, so it can be mailed and read years later."""

import base64
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from overunlearn_jax.files import json_text, write_bytes
from overunlearn_jax.reporting._findings import FOOTNOTE
from overunlearn_jax.reporting._summarise import Setting
from overunlearn_jax.reporting.chart import chart_of
from overunlearn_jax.reporting.forgetting import EXPLAINED
from overunlearn_jax.reporting.judgement import CLAIMS_EXPLAINED, Judgement
from overunlearn_jax.reporting.markdown import OVERVIEW_EXPLAINED
from overunlearn_jax.reporting.outcomes import COLOURS, TONES
from overunlearn_jax.reporting.sections import contents
from overunlearn_jax.reporting.table import REQUESTS_EXPLAINED, ReferenceRow
from overunlearn_jax.reporting.templates import render


class ReportFigure(NamedTuple):
    """A PNG file with its words."""

    path: str | os.PathLike[str]
    caption: str  # what is seen, and how to read it
    alt: str = ""  # for a reader who cannot see it; empty: the caption says it all
    setting: Setting | None = None  # the group that it shows; None: of the whole run


def write_report(
    path: str | os.PathLike[str],
    rows: Sequence[Mapping[str, Any]],
    figures: Sequence[ReportFigure],
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
      figures: pictures beside that of the finding, which the page draws itself; they are embedded.
      manifest: what the run was made with, see `manifest.manifest`.
      config: the run's settings.
      title: the page's title: the run's, or the audited service's.
      reference_rows: published numbers to print beside these, see `table.results_table`.
      judgement: of an audit; stands first.

    Returns:
      The path.

    Raises:
      ValueError: if a figure has no caption or is no PNG, or as `summarise` does.
      OSError: if a figure cannot be read or the page cannot be written.
    """
    page = contents(rows, reference_rows, judgement)
    embedded = [_embedded(ReportFigure(*figure)) for figure in figures]
    if strangers := [
        figure for figure in embedded if figure["setting"] not in (None, *(s.setting for s in page.sections))
    ]:
        raise ValueError(f"a figure is of a setting that no row has: {strangers[0]['caption']}")
    text = render(
        "report.html.jinja",
        title=title,
        page=page,
        judgement=judgement,
        charts=[chart_of(section.lines, None if judgement is None else judgement.limit) for section in page.sections],
        colours=COLOURS,
        tones=TONES,
        forgetting_explained=EXPLAINED,
        requests_explained=REQUESTS_EXPLAINED,
        overview_explained=OVERVIEW_EXPLAINED,
        figures=embedded,
        claims_explained=CLAIMS_EXPLAINED,
        footnote=FOOTNOTE,
        config=json_text(dict(config), indent=2),
        manifest=json_text(dict(manifest), indent=2),
    )
    return write_bytes(path, text.encode())


def _embedded(figure: ReportFigure) -> dict[str, Any]:
    path = Path(figure.path)
    if not figure.caption.strip():
        raise ValueError(f"figure {path} needs a caption.")
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError(f"figure {path} is not a PNG file.")
    return {
        "caption": figure.caption,
        "alt": figure.alt or figure.caption,
        "setting": figure.setting,
        "source": "data:image/png;base64," + base64.b64encode(content).decode("ascii"),
    }
