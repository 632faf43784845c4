"""What the README prints works as printed."""

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import compiled_for_long_runs

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()


def test_it_is_short():
    assert len(TEXT.splitlines()) <= 150


def test_it_installs_extras_from_the_clone():
    assert "pip install -e '.[prepare]'" in TEXT
    assert "overunlearn_jax[" not in TEXT  # no registry has the package


def test_its_example_runs_and_shows_the_harm():
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    lines = [line for line in example.splitlines() if line.strip()]
    assert len(lines) <= 15
    command = [sys.executable, "-c", example]
    done = subprocess.run(command, cwd=ROOT, env=compiled_for_long_runs(), capture_output=True, text=True, check=True)
    left = {name: float(value) for name, value in re.findall(r"([\w -]+): ([\d.]+)% of class 3", done.stdout)}
    assert left["honest request"] - left["Pushing-I"] > 30


def test_its_links_and_flagfiles_exist():
    links = re.findall(r"\]\((?!http)([^)]+)\)", TEXT)
    flagfiles = re.findall(r"--flagfile=(\S+\.cfg)", TEXT)
    assert links
    assert flagfiles
    for path in links + flagfiles:
        assert (ROOT / path).exists(), path
