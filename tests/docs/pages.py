"""The pages that people read, and the blocks of code and commands in them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

SITE = sorted(path for path in DOCS.rglob("*.md") if not {"made", "_build"} & {*path.relative_to(DOCS).parts})
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", *SITE]
_FENCE = re.compile(
    r"^(?:% needs: (?P<needs>\w+)\n+)?```(?P<kind>[\w{}-]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_COMMAND = re.compile(r"(?:(?<![\w/.-])overunlearn (?=[a-z-])|python -m experiments\.)[^\n]*")


class Block(NamedTuple):
    """A fenced block."""

    kind: str  # "python", "sh", "yaml", "diff", "text", or empty
    text: str
    needs: str  # a package that may be missing


def name_of(page: Path) -> str:
    """Of a page, for the names of tests."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    return [Block(found["kind"], found["text"], found["needs"] or "") for found in _FENCE.finditer(page.read_text())]


def commands(page: Path) -> Iterator[str]:
    """The commands of the package on a page: in blocks, in texts of YAML, and within a line."""
    text = page.read_text()
    for block in blocks(page):
        if block.kind == "yaml":
            for document in yaml.safe_load_all(block.text):
                for line in _strings(document):
                    yield from _in(line)
        elif block.kind in ("sh", ""):
            yield from _in(block.text)
    for inline in re.findall(r"`([^`\n]+)`", _FENCE.sub("", text)):
        yield from _in(inline)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def _in(text: str) -> Iterator[str]:
    """The commands in a text: lines that end in a backslash go on, and a command ends before what is no word of it."""
    for line in text.replace("\\\n", " ").splitlines():
        for found in _COMMAND.findall(line.partition(" #")[0]):
            yield re.split(r'["|;]|&&|\.\.\.', found)[0].strip()
