"""Pictures."""

from pathlib import Path


def make(folder: Path) -> None:
    """None yet."""
