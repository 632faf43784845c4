"""The benchmark of disguised services: a line a cell, found again, and a table that says what was seen."""

from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks import revealed
from experiments.benchmarks.disguises import DISGUISES, disguises
from experiments.run.records import read_records
from overunlearn_jax.types import Bounds, DatasetSpec
from tests.experiments import tiny
from tests.experiments.running import MakeConfig

SPEC = DatasetSpec("made up", (2, 2, 1), Bounds(-0.5, 0.5), tuple("abcdefg"))


def _predict(images: np.ndarray) -> np.ndarray:
    logits = 3 * images.reshape(len(images), -1) @ np.random.default_rng(0).normal(size=(4, 7))
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def test_every_disguise_answers_probabilities_of_the_same_first_class():
    images = np.random.default_rng(1).uniform(-0.5, 0.5, (20, 2, 2, 1)).astype(np.float32)
    all_of_them = disguises(_predict, SPEC, 0)
    assert tuple(all_of_them) == DISGUISES
    for name, answer in all_of_them.items():
        answers = answer(images)
        np.testing.assert_allclose(answers.sum(-1), 1, atol=0.04, err_msg=name)
        assert (answers.argmax(-1) == _predict(images).argmax(-1)).mean() > 0.85, name
    assert len(np.unique(all_of_them["top-5"](images)[0])) == 6


def test_cells_are_written_once_and_a_cut_line_is_measured_again(config: MakeConfig, command, tmp_path: Path):
    made = config(max_steps=40, workdir=str(tmp_path / "revealed"))
    typed = (*tiny.as_flags(made), "--samples=3", "--disguises=as it is", "--disguises=8-bit pixels", "--searches=auto")
    done = command("bench revealed", *typed)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "revealed" / revealed.FILE
    first = read_records(path)
    assert [(cell["disguise"], cell["search"]) for cell in first] == [("as it is", "auto"), ("8-bit pixels", "auto")]
    assert all(cell["samples"] == 3 and cell["probe_queries"] > 100 for cell in first)
    path.write_text(path.read_text()[:-20])
    assert command("bench revealed", *typed).returncode == 0
    again = read_records(path)
    wall = ("seconds",)
    assert [{k: v for k, v in cell.items() if k not in wall} for cell in again] == [
        {k: v for k, v in cell.items() if k not in wall} for cell in first
    ]
    assert "| 8-bit pixels | auto |" in done.stdout


def test_the_table_has_means_over_victims_and_dashes():
    cell = {"disguise": "labels", "search": "paper", "samples": 4, "crossed": 0, "saw_nothing": 4, "queries": 2570.0}
    nothing = dict.fromkeys(("l2_inside", "l2_outside", "harm_inside", "harm_outside"))
    table = revealed.markdown([cell | nothing | {"seed": seed} for seed in range(2)], "the command")
    assert "| labels | paper | 2 | 0 [0, 0] | 100 [100, 100] | 2,570 | – | – | – | – |" in table
    with pytest.raises(KeyError):
        revealed.markdown([{}], "the command")
