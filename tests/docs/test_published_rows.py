"""What is published was made by committed code, and says nothing of the folders of the machine that made it."""

import doctest
import json
import re
from pathlib import Path

from experiments.methods.page import collect
from experiments.suites import places
from overunlearn_jax.digests import read_sealed, sealed_text

RESULTS = Path(__file__).parents[2] / "experiments" / "results"
TEXTS = [path for path in sorted(RESULTS.rglob("*")) if path.suffix in {".json", ".jsonl", ".md", ".html", ".toml"}]


def test_commands_name_no_folder_of_a_machine():
    assert len(TEXTS) > 100
    named = {found for path in TEXTS for found in re.findall(r"--data_dir=([^\s\"'`)<]+)", path.read_text())}
    assert named <= {"FOLDER", "TFDS_FOLDER"}
    assert doctest.testmod(places).attempted


def test_rows_come_from_committed_code_but_for_those_that_are_named():
    manifests = {path.parent.relative_to(RESULTS).as_posix(): json.loads(path.read_text())
                 for path in RESULTS.rglob("manifest.json")}  # fmt: skip
    assert len(manifests) > 50
    changed = {name for name, made in manifests.items() if made["git_dirty"]}
    [line] = re.findall(r"^Rows of (.*) come from trees with changes.*$", (RESULTS / "README.md").read_text(), re.M)
    assert set(re.findall(r"`([^`]+)`", line)) == changed
    studies = [path for path in RESULTS.rglob("*.jsonl") if '"commit"' in path.read_text()]
    assert len(studies) > 5
    assert [path for path in studies if re.search(r'"commit": "[^"]* and changes"', path.read_text())] == []


def test_collected_rows_have_a_command_for_everyone(tmp_path: Path):
    run = tmp_path / "runs" / "retrain"
    run.mkdir(parents=True)
    (run / "results.jsonl").write_text('{"seed": 0}\n')
    made = {"command": "python -m experiments.main --data_dir=/home/me/data --scale=cpu", "seeds": [0]}
    (run / "manifest.json").write_text(sealed_text(made))
    collect(tmp_path / "runs", tmp_path / "rows")
    kept = read_sealed(tmp_path / "rows" / "retrain" / "manifest.json", "", required=True)
    assert kept == {**made, "command": "python -m experiments.main --data_dir=FOLDER --scale=cpu"}
    assert (tmp_path / "rows" / "retrain" / "results.jsonl").read_bytes() == (run / "results.jsonl").read_bytes()
