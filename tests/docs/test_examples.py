"""Python on the site runs, page by page from top to bottom; diffs fit the files that they change."""

import ast
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT, SITE, blocks, name_of

WITH_PYTHON = [page for page in SITE if any(block.kind == "python" for block in blocks(page))]
DIFFS = [(name_of(page), block.text) for page in SITE for block in blocks(page) if block.kind == "diff"]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_python_runs(page: Path):
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.kind != "python":
            continue
        ast.parse(block.text)
        if not block.needs or importlib.util.find_spec(block.needs):
            exec(compile(block.text, name_of(page), "exec"), names)
    if page.stem == "start":
        assert names["left"]["honest request"] - names["left"]["Pushing-II"] > 0.3


@pytest.mark.parametrize(("page", "diff"), DIFFS, ids=[re.findall(r"b/(\S+)", diff)[0] for _, diff in DIFFS])
def test_diffs_fit(page: str, diff: str):
    (path,) = re.findall(r"^\+\+\+ b/(\S+)$", diff, re.MULTILINE)
    text = (ROOT / path).read_text()
    lines = diff.splitlines()[2:]
    before = "\n".join(line[1:] for line in lines if not line.startswith("+"))
    assert text.count(before) == 1, f"{page}: these lines stand in {path}, and once"
    assert any(line.startswith("+") for line in lines)
