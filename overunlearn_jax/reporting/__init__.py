"""Results on disk and on the page: JSON rows, summaries, Markdown, figures, one HTML page. Imports no jax."""

from overunlearn_jax.attack_names import ATTACK_NAMES, attack_name
from overunlearn_jax.reporting._manifest import command_line, manifest
from overunlearn_jax.reporting._summarise import Setting, SummaryRow, groups, summarise
from overunlearn_jax.reporting.figures import accuracy_bars, predicted_label_bars
from overunlearn_jax.reporting.forgetting import forgetting_table
from overunlearn_jax.reporting.harm import HarmLine, harm_lines
from overunlearn_jax.reporting.harm_figure import harm_bars
from overunlearn_jax.reporting.html import ReportFigure, write_report
from overunlearn_jax.reporting.judgement import Claim, Judgement
from overunlearn_jax.reporting.markdown import summary_markdown, without_folds
from overunlearn_jax.reporting.request_figure import request_pictures
from overunlearn_jax.reporting.row import REQUIRED_KEYS, Row
from overunlearn_jax.reporting.rows import append_row, read_rows

__all__ = [
    "ATTACK_NAMES",
    "REQUIRED_KEYS",
    "Claim",
    "HarmLine",
    "Judgement",
    "ReportFigure",
    "Row",
    "Setting",
    "SummaryRow",
    "accuracy_bars",
    "append_row",
    "attack_name",
    "command_line",
    "forgetting_table",
    "groups",
    "harm_bars",
    "harm_lines",
    "manifest",
    "predicted_label_bars",
    "read_rows",
    "request_pictures",
    "summarise",
    "summary_markdown",
    "without_folds",
    "write_report",
]
