"""Where notebooks get the toolkit from: one setting, written into the badge and the first cell of each.

    python docs/badges.py                       # `make notebooks` does it first

The setting is `repository` in `[tool.notebooks]` of pyproject.toml. Colab opens notebooks of GitHub alone. While it is
empty there is no badge, and the first cell says what is missing in place of installing it.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
EXTRAS = {"03_audit_a_pytorch_model": ("torch",), "04_attack_a_service_over_http": ("http", "server")}
MODULES = {"torch": ("torch",), "http": ("httpx", "tenacity"), "server": ("uvicorn", "starlette")}  # that extras bring
COLAB = "https://colab.research.google.com"


class Source(NamedTuple):
    """Where the toolkit lies."""

    repository: str  # https://github.com/OWNER/NAME; empty: nobody has said yet
    branch: str = "main"


def source(pyproject: Path = ROOT / "pyproject.toml") -> Source:
    """What `[tool.notebooks]` says. Raises ValueError for an address that Colab cannot open."""
    told = Source(**tomllib.loads(pyproject.read_text())["tool"]["notebooks"])
    if told.repository and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", told.repository):
        raise ValueError(f"repository is {told.repository!r}; expected https://github.com/OWNER/NAME, or nothing")
    return told


def needed(name: str) -> list[str]:
    """Modules that a notebook imports beside those that the toolkit always brings."""
    return [module for extra in EXTRAS.get(name, ()) for module in MODULES[extra]]


def badge(name: str, told: Source) -> str:
    """The picture that opens a notebook on Colab, as Markdown; empty without an address."""
    path = told.repository.removeprefix("https://github.com/")
    link = f"{COLAB}/github/{path}/blob/{told.branch}/notebooks/{name}.ipynb"
    return f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({link})" if told.repository else ""


def first_cell(name: str, told: Source) -> str:
    """The code that installs the toolkit where it is missing."""
    extras = f"[{','.join(EXTRAS[name])}]" if name in EXTRAS else ""
    modules = ", ".join(f'"{module}"' for module in ["overunlearn_jax", *needed(name)])
    if told.repository:
        about = "# Installs the toolkit where it is missing, as on Colab."
        then = f'%pip install -q "overunlearn_jax{extras} @ git+{told.repository}@{told.branch}"'
    else:
        command = f"pip install -e '.{extras}'" if extras else "pip install -e ."
        about = f"# Needs the toolkit: {command} in its folder."
        then = f'raise ImportError(f"{{missing}} cannot be imported: {command} in the toolkit\'s folder")'
    lines = [about, "import importlib.util", "", f"needed = [{modules}]"]
    found = "if missing := [name for name in needed if importlib.util.find_spec(name) is None]:"
    return "\n".join([*lines, found, f"    {then}"])


def with_source(notebook: dict[str, Any], name: str, told: Source) -> dict[str, Any]:
    """The notebook with the badge under its title, and the first code cell. Other cells are left as they are."""
    title, install, *others = notebook["cells"]
    if title["cell_type"] != "markdown" or install["cell_type"] != "code":
        raise ValueError(f"{name} begins with other cells; expected its title as text, then one of code that installs")
    parts = [part for part in "".join(title["source"]).split("\n\n") if "colab-badge" not in part]
    text = "\n\n".join([parts[0], *filter(None, [badge(name, told)]), *parts[1:]])
    cells = [_with_text(title, text), _with_text(install, first_cell(name, told)), *others]
    return {**notebook, "cells": cells}


def _with_text(cell: dict[str, Any], text: str) -> dict[str, Any]:
    return {**cell, "source": text.splitlines(keepends=True)}


def as_file(notebook: dict[str, Any]) -> str:
    """The notebook's text, as Jupyter writes it."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        path.write_text(as_file(with_source(json.loads(path.read_text()), path.stem, source())))
