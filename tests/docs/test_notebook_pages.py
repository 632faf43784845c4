"""Notebooks say where the toolkit comes from, and the site shows what a run of their very code has shown."""

import importlib.util
import json
import re
from pathlib import Path

import badges
import executed
import pytest

FOLDER = badges.FOLDER
PATHS = sorted(FOLDER.glob("*.ipynb"))
HERE = badges.Source("https://github.com/someone/a.copy", "main")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_says_where_the_toolkit_comes_from(path: Path):
    kept = path.read_text()
    notebook = json.loads(kept)
    assert badges.as_file(badges.with_source(notebook, path.stem, badges.source())) == kept, "run docs/badges.py"
    assert "<owner>" not in kept


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_site_shows_outputs_of_this_very_code(path: Path):
    stored = json.loads((executed.OUTPUTS / path.name).read_text())
    assert executed.code_of(stored) == executed.code_of(json.loads(path.read_text())), "run make notebooks"
    assert {"date", "device", "versions"} <= stored["metadata"]["ran"].keys()


def test_an_address_is_written_into_badge_and_first_cell_and_taken_out_again():
    path = FOLDER / "03_audit_a_pytorch_model.ipynb"
    notebook = json.loads(path.read_text())
    told = badges.with_source(notebook, path.stem, HERE)
    text = "".join(told["cells"][0]["source"])
    assert f"github/someone/a.copy/blob/main/notebooks/{path.name})" in text
    assert '"overunlearn_jax[torch] @ git+https://github.com/someone/a.copy@main"' in "".join(
        told["cells"][1]["source"]
    )
    assert badges.with_source(told, path.stem, HERE) == told
    assert badges.with_source(told, path.stem, badges.Source("")) == badges.with_source(
        notebook, path.stem, badges.Source("")
    )


def test_an_address_that_colab_cannot_open_is_refused(tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text('[tool.notebooks]\nrepository = "https://example.org/a/b"\n')
    with pytest.raises(ValueError, match=r"expected https://github\.com/OWNER/NAME"):
        badges.source(tmp_path / "pyproject.toml")


def test_modules_that_a_notebook_needs_have_an_extra():
    assert {*badges.EXTRAS} <= {path.stem for path in PATHS}
    for path in PATHS:
        imported = {line.split()[1].split(".")[0] for line in _imports(path)}
        assert all(importlib.util.find_spec(name) for name in imported - {"torch"}), path
        assert ("torch" in imported) == ("torch" in badges.EXTRAS.get(path.stem, ())), path


def test_outputs_of_other_code_are_not_shown(tmp_path: Path):
    code = [{"cell_type": "code", "source": [text], "outputs": []} for text in ("install", "print(1)")]
    title = {"cell_type": "markdown", "source": ["# A"]}
    ran = {"metadata": {"ran": {"date": "a day", "device": "a core", "versions": "1"}}, "cells": [title, *code]}
    ran["cells"][2] = {**code[1], "outputs": [{"text": "1"}], "execution_count": 2}
    (tmp_path / "a.ipynb").write_text(json.dumps(ran))
    shown = executed.with_outputs({"cells": [title, *code]}, tmp_path / "a.ipynb")
    assert shown["cells"][2]["outputs"] == [{"text": "1"}]
    assert "a day, a core" in "".join(shown["cells"][0]["source"])
    changed = {"cells": [title, code[0], {**code[1], "source": ["print(2)"]}]}
    assert executed.with_outputs(changed, tmp_path / "a.ipynb") == changed


def _imports(path: Path) -> list[str]:
    code = executed.code_of(json.loads(path.read_text()))
    return [line for cell in code for line in cell.splitlines() if re.match(r"(import|from) ", line)]
