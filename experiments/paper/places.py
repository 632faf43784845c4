"""Where the pages of the paper's tables and figures go."""

from pathlib import Path
from typing import NamedTuple


class Pages(NamedTuple):
    """The same page twice."""

    text: Path  # Markdown
    html: Path


def pages_of(folder: Path, experiment: str) -> Pages:
    """The pages of a table or figure, or of all, beside the folders of its runs."""
    if experiment == "all":
        return Pages(folder / "paper.md", folder / "report.html")
    return Pages(folder / f"{experiment}.md", folder / f"{experiment}.html")
