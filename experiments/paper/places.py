"""Where the pages of the paper's tables and figures go."""

from pathlib import Path


def page_of(folder: Path, experiment: str) -> Path:
    """Where the HTML page of a table or figure goes, or of all."""
    return folder / ("report.html" if experiment == "all" else f"{experiment}.html")


def text_of(page: Path) -> Path:
    """The Markdown page beside an HTML page."""
    return page.with_name("paper.md") if page.name == "report.html" else page.with_suffix(".md")
