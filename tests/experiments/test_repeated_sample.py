"""A run that asks with one own sample again and again: rows, files, report, and what it does not go with."""

from pathlib import Path

import pytest

from experiments import pipeline
from experiments.config import Config
from overunlearn_jax.attack_names import REPEATED
from overunlearn_jax.reporting import read_rows
from tests.experiments.running import MakeConfig


def test_a_run_from_request_to_report(config: MakeConfig):
    settings = config(attacks=("normal", REPEATED), save_requests=True)
    report = pipeline.run(settings)
    workdir = Path(settings.run.workdir)
    rows = {row["attack"]: row for row in read_rows(workdir / "results.jsonl")}
    repeated, honest = rows[REPEATED], rows["normal"]
    assert repeated["submitted"] == honest["submitted"] == repeated["queries"]
    assert repeated["l2_max"] == 0
    assert repeated["class_a"] <= honest["class_a"]
    [folder] = [each for each in (workdir / "requests").iterdir() if each.is_dir() and REPEATED in each.name]
    assert len(list(folder.rglob("*.png"))) == repeated["submitted"]
    text = report.read_text()
    assert "One sample repeated" in text
    assert "Originals, what each request submits" not in text  # nothing is changed: there is nothing to see
    made = report.stat().st_mtime_ns
    pipeline.run(settings)
    assert report.stat().st_mtime_ns == made  # there is nothing to do


def test_it_does_not_go_with_forgetting():
    with pytest.raises(ValueError, match="--forgetting with --attacks=repeated: that request is to forget one sample"):
        Config.of(forgetting=True, attacks=("normal", REPEATED))
