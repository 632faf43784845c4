"""Links between pages and into the repository lead somewhere, and numbers beside pictures are those of the rows."""

import json
import re
from pathlib import Path

import api_pages
import copies
import numpy as np
import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, SITE, name_of

MADE = {
    *(DOCS / "made/results" / f"{name}.md" for name in copies.PAGES),
    *(DOCS / "made/notebooks" / path.name for path in (ROOT / "notebooks").glob("*.ipynb")),
    *(DOCS / "made/api" / f"{room}.rst" for room in [*api_pages.rooms(), "index"]),
    DOCS / "made/schema/schema.md",
}
LABELS = {label for page in SITE for label in re.findall(r"^\(([\w-]+)\)=$", page.read_text(), re.MULTILINE)}


def slugs(page: Path) -> set[str]:
    """Of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not path or path in LABELS:
            assert (anchor or path) in LABELS | slugs(page), link
        else:
            assert target.exists() or target in MADE, link
            assert not anchor or anchor in LABELS | slugs(target), link


def test_every_page_is_in_the_table_of_contents():
    listed = set()
    for page in SITE:
        for toctree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL):
            listed |= {(page.parent / line).resolve() for line in toctree.split() if not line.startswith(":")}
    for page in {*SITE, *MADE} - {DOCS / "index.md"}:
        in_api = page.parent.name == "api" and page.stem != "index"  # the reference's own front page lists these
        assert in_api or page.with_suffix("") in listed, page


def test_the_results_that_the_site_copies_exist():
    pages = {path.relative_to(ROOT / "experiments/results") for path in (ROOT / "experiments/results").rglob("*.md")}
    assert {Path(path) for path in copies.PAGES.values()} <= pages


def test_results_keep_their_links(tmp_path: Path):
    copies.copy_results(ROOT / "experiments/results", tmp_path)
    for page in tmp_path.glob("*.md"):
        for link in re.findall(r"\]\((?!https?:|#)([^)]+)\)", page.read_text()):
            assert (tmp_path / link).is_file(), (page.name, link)  # Sphinx finds no folder


def test_numbers_beside_the_first_picture_are_those_of_the_rows():
    lines = (ROOT / "experiments/results/cifar10_cpu_seeds.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if (row["fidelity"], row["tau"]) == ("corrected", 1e-4)]
    means = [np.mean([row["class_a_before"] for row in rows if row["attack"] == "normal"])]
    for attack in ("normal", "noise", "pushing_1", "pushing_2"):
        means.append(np.mean([row["class_a"] for row in rows if row["attack"] == attack]))
    told = re.findall(
        r"Before ([\d.]+) %.*?([\d.]+), .*?([\d.]+), .*?([\d.]+), .*?([\d.]+)\.", (DOCS / "index.md").read_text()
    )
    assert {*told} == {tuple(f"{100 * mean:.1f}" for mean in means)}
    assert (
        f"{100 * means[1]:.1f} - {100 * means[3]:.1f} = {100 * (means[1] - means[3]):.1f}"
        in (DOCS / "numbers.md").read_text()
    )
