"""Every notebook runs from top to bottom, and is kept without outputs."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import compiled_for_long_runs

FOLDER = Path(__file__).parents[1] / "notebooks"


def run(path: Path, **smaller: object) -> tuple[str, int]:
    """What a notebook prints, and how many pictures it draws, from top to bottom; `smaller` are numbers of its own."""
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are kept in docs/executed"
    for name, value in smaller.items():
        changed = 0
        for cell in notebook.cells:
            cell.source, times = re.subn(rf"^{name} = [^#\n]*", f"{name} = {value} ", cell.source, flags=re.MULTILINE)
            changed += times
        assert changed == 1, f"{path.name} sets {name} once"
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


def test_a_pytorch_model_is_audited():
    pytest.importorskip("torch")
    printed, pictures = run(FOLDER / "03_audit_a_pytorch_model.ipynb", SEEDS=(0, 1), FRACTION=0.04)
    assert "VULNERABLE: Pushing-I" in printed, printed
    assert pictures == 1


def test_a_service_is_attacked_over_http():
    printed, pictures = run(FOLDER / "04_attack_a_service_over_http.ipynb", EPOCHS=10, SAMPLES=4)
    left = {name: float(part) for name, part in re.findall(r"^(.+?) +class 3 +([\d.]+)%", printed, re.MULTILINE)}
    assert left["honest request"] - left["Pushing-I"] > 30, printed
    assert pictures == 2


def test_defences_are_compared():
    printed, pictures = run(FOLDER / "05_choose_a_defence.ipynb", EPOCHS=10, SAMPLES=6, HONEST_REQUESTS=2)
    found = re.findall(r"^(\w+) +harm +([-\d.]+) points +honest people refused +([\d.]+)%", printed, re.MULTILINE)
    harm, refused = ({line[0]: float(line[place]) for line in found} for place in (1, 2))
    assert len(found) == 8, printed
    assert harm["none"] > 30
    assert harm["agreement"] > 30
    assert harm["identify"] < 5
    assert harm["monitor"] < 5
    assert (refused["none"], refused["exact"]) == (0, 50)  # one honest request is PNG, which rounds nothing here
    assert pictures == 1


def test_every_notebook_is_run():
    text = Path(__file__).read_text()
    assert all(path.name in text for path in FOLDER.glob("*.ipynb"))
