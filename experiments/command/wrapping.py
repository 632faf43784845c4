"""Text in the width of a terminal."""

import shutil
import textwrap

WIDEST = 110  # longer lines are hard to read


def terminal_width() -> int:
    """Of the terminal, at most 110; 80 where there is none."""
    return min(WIDEST, shutil.get_terminal_size().columns)


def wrapped(text: str, width: int, indent: int = 0, hanging: int | None = None) -> list[str]:
    """Lines of `text`; those after the first are indented by `hanging`, or as the first is. Words stay whole."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent if hanging is None else hanging),
        break_on_hyphens=False,
        break_long_words=False,
    )


def entry(head: str, text: str, column: int, width: int) -> list[str]:
    """A term, and what it means in a column beside it, or below where the term is too long."""
    lines = wrapped(text, width, column)
    if len(head) + 2 <= column and lines:
        return [head.ljust(column) + lines[0].lstrip(), *lines[1:]]
    return [head, *lines]
