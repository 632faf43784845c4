"""Results on disk and on the page: JSON rows, summaries, Markdown, figures, one HTML page. Imports no jax."""

from overunlearn_jax.reporting._manifest import command_line, manifest
from overunlearn_jax.reporting._summarise import Setting, SummaryRow, groups, summarise
from overunlearn_jax.reporting.figures import accuracy_bars, predicted_label_bars, request_pictures
from overunlearn_jax.reporting.forgetting import forgetting_table
from overunlearn_jax.reporting.html import ReportFigure, write_report
from overunlearn_jax.reporting.judgement import Claim, Judgement
from overunlearn_jax.reporting.markdown import summary_markdown
from overunlearn_jax.reporting.row import REQUIRED_KEYS, Row
from overunlearn_jax.reporting.rows import append_row, read_rows

__all__ = [
    "REQUIRED_KEYS",
    "Claim",
    "Judgement",
    "ReportFigure",
    "Row",
    "Setting",
    "SummaryRow",
    "accuracy_bars",
    "append_row",
    "command_line",
    "forgetting_table",
    "groups",
    "manifest",
    "predicted_label_bars",
    "read_rows",
    "request_pictures",
    "summarise",
    "summary_markdown",
    "write_report",
]
