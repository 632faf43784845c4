"""Pages that lie elsewhere in the repository, copied to where Sphinx finds them: notebooks, and pages of results."""

import json
import os
import re
from pathlib import Path

from badges import as_file
from executed import OUTPUTS, with_outputs

PAGES = {  # of experiments/results, by the name that they have on the site
    "paper": "paper.md",
    "methods": "methods.md",
    "controls": "controls/controls.md",
    "widths": "controls/widths.md",
    "defences": "defences/defences.md",
    "contributors": "defences/contributors.md",
    "u_lira": "u_lira/u_lira.md",
    "fewer_queries": "fewer_queries.md",
    "revealed": "revealed.md",
    "server": "server.md",
    "readme": "README.md",
    "quickstart": "quickstart.md",
    "cifar10_cpu_seeds": "cifar10_cpu_seeds.md",
    "cifar10_cpu": "cifar10_cpu.md",
}


def write(path: Path, text: str) -> Path:
    """Leaves a file that has this text already, so that Sphinx does not read it again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def copy_notebooks(source: Path, folder: Path) -> None:
    """The notebooks with what they show, without badges, which are pictures from elsewhere."""
    for path in source.glob("*.ipynb"):
        lines = path.read_text().splitlines()
        notebook = json.loads("\n".join(line for line in lines if "colab-badge" not in line))
        write(folder / path.name, as_file(with_outputs(notebook, OUTPUTS / path.name)))


def copy_schema(source: Path, folder: Path) -> None:
    """The schema of deletions over HTTP."""
    write(folder / source.name, source.read_text())


def copy_results(source: Path, folder: Path) -> None:
    """The pages of results; links to other pages stay links, and what else they link is found where it lies."""
    there = {(source / path).resolve(): f"{name}.md" for name, path in PAGES.items()}
    for name, path in PAGES.items():
        page = source / path

        def target(found: re.Match[str], page: Path = page) -> str:
            linked = (page.parent / found[1]).resolve()
            return f"]({there.get(linked) or os.path.relpath(linked, folder)})"

        def without_folder(found: re.Match[str], page: Path = page) -> str:
            return found[1] if (page.parent / found[2]).is_dir() else found[0]  # the site shows no folders

        text = re.sub(r"\[(`[^`]+`)\]\((?!https?:|#)([^)]+)\)", without_folder, page.read_text())
        text = re.sub(r"\]\((?!https?:|#)([^)]+)\)", target, text)
        text = re.sub(r'<a id="(\w+)"></a>', r"(\1)=", text)  # anchors that MyST knows
        write(folder / f"{name}.md", text)
