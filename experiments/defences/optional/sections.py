"""The sections of the page that optional parts add, each where it has records."""

from pathlib import Path

from experiments.defences.optional import costs_page, digests_page, robust_page, seconds_page
from experiments.run.records import read_records

SECTIONS = {
    "seconds.jsonl": seconds_page.section,
    "robustness.jsonl": robust_page.section,
    "costs.jsonl": costs_page.section,
    "digests.jsonl": digests_page.section,
}


def sections(folder: Path) -> list[str]:
    """Of the parts that have records in `folder`, in the order of the page."""
    known = [(read_records(folder / name), section) for name, section in SECTIONS.items()]
    return [section(rows) for rows, section in known if rows]
