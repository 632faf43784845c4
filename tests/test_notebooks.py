"""Every notebook runs from top to bottom, and is kept without outputs."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.conftest import compiled_for_long_runs

FOLDER = Path(__file__).parents[1] / "notebooks"


def run(path: Path) -> tuple[str, int]:
    """What a notebook prints, and how many pictures it draws, from top to bottom."""
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not committed"
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": path.parent}})
    client.execute(env=compiled_for_long_runs())
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    return printed, sum("image/png" in output.get("data", {}) for output in outputs)


def test_the_quickstart_shows_the_harm():
    printed, pictures = run(FOLDER / "00_quickstart.ipynb")
    left = {line.split("class 3")[0].strip(): float(line.split()[-3][:-1]) for line in printed.splitlines()[-4:]}
    assert left["honest request"] - left["Pushing-I"] > 30, printed
    assert pictures


def test_one_image_walks_to_the_boundary():
    printed, pictures = run(FOLDER / "01_one_image_walks.ipynb")
    assert printed.startswith("CROSSED to "), printed
    assert pictures == 2


def test_figures_are_drawn_from_rows():
    printed, pictures = run(FOLDER / "02_figures_from_results.ipynb")
    assert "left of class A: honest request" in printed
    assert pictures == 2


def test_every_notebook_is_run():
    text = Path(__file__).read_text()
    assert all(path.name in text for path in FOLDER.glob("*.ipynb"))
