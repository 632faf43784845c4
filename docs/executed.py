"""Outputs of notebooks, of a real run with its date and device: kept beside the pages, never in the notebooks.

    python docs/executed.py                     # runs all of them, minutes; `make notebooks` does it
    python docs/executed.py 05_choose_a_defence # runs one

A build of the site runs nothing. It shows what is kept in docs/executed as long as that is of the very code that the
notebook has now; of other code nothing is shown.
"""

import datetime
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import badges

from overunlearn_jax import __version__

OUTPUTS = Path(__file__).parent / "executed"


def run(path: Path) -> dict[str, Any]:
    """The notebook with its outputs, without what it says on stderr, and when and where it ran."""
    import jax
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": path.parent}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    kind = jax.devices()[0].device_kind
    notebook.metadata["ran"] = {
        "date": datetime.date.today().isoformat(),
        "device": f"{os.cpu_count()} CPU cores" if kind == "cpu" else f"{jax.device_count()} x {kind}",
        "versions": f"overunlearn_jax {__version__}, JAX {jax.__version__}",
    }
    told: dict[str, Any] = json.loads(nbformat.writes(notebook))
    return told


def code_of(notebook: dict[str, Any]) -> list[str]:
    """The source of the code cells, but for the first, which installs."""
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return code[1:]


def with_outputs(notebook: dict[str, Any], stored: Path) -> dict[str, Any]:
    """The notebook as the site shows it: with the outputs of a run of the same code, where there is one."""
    ran = json.loads(stored.read_text()) if stored.exists() else None
    if ran is None or code_of(ran) != code_of(notebook):
        return notebook
    outputs = iter([cell for cell in ran["cells"] if cell["cell_type"] == "code"])
    cells = [
        {**cell, **{key: value for key, value in next(outputs).items() if key in ("outputs", "execution_count")}}
        if cell["cell_type"] == "code"
        else cell
        for cell in notebook["cells"]
    ]
    about = ran["metadata"]["ran"]
    line = f"\n\n*Outputs of a run on {about['date']}, {about['device']}, {about['versions']}.*"
    cells[0] = {**cells[0], "source": ["".join(cells[0]["source"]) + line]}
    return {**notebook, "cells": cells}


if __name__ == "__main__":
    OUTPUTS.mkdir(exist_ok=True)
    for path in sorted(badges.FOLDER.glob("*.ipynb")):
        if sys.argv[1:] and path.stem not in sys.argv[1:]:
            continue
        if missing := [name for name in badges.needed(path.stem) if importlib.util.find_spec(name) is None]:
            print(f"{path.name} is left as it is: {', '.join(missing)} cannot be imported")
            continue
        (OUTPUTS / path.name).write_text(badges.as_file(run(path)))
        print(f"{path.name} ran")
