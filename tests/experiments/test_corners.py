"""Runs that are odd but allowed, and those that would end in a wrong number if nobody looked."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments import pipeline
from experiments.config import Config
from experiments.unlearning import check_classes
from overunlearn_jax import data
from overunlearn_jax.reporting import read_rows
from overunlearn_jax.types import Split
from tests.experiments import tiny

MakeConfig = Callable[..., Config]


def rows_of(config: Config) -> list[dict]:
    return read_rows(Path(config.workdir) / "results.jsonl")


@pytest.mark.usefixtures("no_figures")
def test_a_budget_leaves_enough_for_the_labels_that_have_to_be_asked(config: MakeConfig):
    settings = config(query_budget=200 + 40 * 17)  # every attack: blending asks for labels after the pushes
    pipeline.run(settings)
    spent = {row["attack"]: row for row in rows_of(settings)}
    assert spent["blending"]["queries"] == spent["blending"]["submitted"] > 0
    assert spent["pushing_1"]["failed"] > 0, "the budget binds"
    asked = spent["pushing_1"]["queries"] + spent["blending"]["queries"]
    assert asked + spent["normal"]["requested"] + spent["normal"]["skipped"] <= settings.query_budget


@pytest.mark.usefixtures("no_figures")
def test_results_without_their_config_are_not_adopted(config: MakeConfig):
    settings = config(attacks=("normal",))
    pipeline.run(settings)
    (Path(settings.workdir) / "config.json").unlink()
    with pytest.raises(ValueError, match=r"no config.json beside it: give another --workdir"):
        pipeline.run(settings)


@pytest.mark.usefixtures("no_figures")
def test_a_start_that_has_nothing_to_do_keeps_the_note_of_what_made_the_rows(config: MakeConfig):
    settings = config(attacks=("normal",))
    pipeline.run(settings)
    path = Path(settings.workdir) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"device": "the old one"}))
    report = pipeline.run(settings)
    assert json.loads(path.read_text())["device"] == "the old one"
    assert "the old one" not in report.read_text()  # a complete run is left as it is
    report.unlink()
    pipeline.run(settings)
    assert "the old one" in (Path(settings.workdir) / "summary.md").read_text()


@pytest.mark.usefixtures("no_figures")
def test_a_tau_that_breaks_the_weights_names_its_cell(config: MakeConfig):
    with pytest.raises(ValueError, match=r"tau 1e\+38.*weights diverged"):
        pipeline.run(config(attacks=("normal",), taus=(1e38,), scope="all"))


def test_a_class_without_test_images_and_images_without_a_picture(config: MakeConfig, tmp_path: Path):
    with np.load(tiny.write_data(tmp_path / "three.npz")) as stored:
        images, labels = np.repeat(stored["images"], 2, axis=-1), stored["labels"]
    known = labels != 1
    np.savez(
        tmp_path / "two_channels.npz",
        images=images,
        labels=labels,
        test_images=images[known],
        test_labels=labels[known],
        class_names=np.array(tiny.NAMES),
    )
    settings = config(dataset=str(tmp_path / "two_channels.npz"), attacks=("normal", "blending"))
    report = pipeline.run(settings)
    assert report.exists()
    assert all(row["class_b"] is None and row["class_a"] is not None for row in rows_of(settings))
    assert not list((report.parent / "figures").glob("requests_*"))


def test_a_class_that_the_model_never_saw_cannot_be_forgotten(config: MakeConfig):
    splits = data.load(config().dataset, seed=0)
    ants_and_bees = splits.train.labels < 2
    train = Split(*(part[ants_and_bees] for part in splits.train))
    check_classes(np.array([0, 1, 1]), train, splits.spec)
    with pytest.raises(ValueError, match=r"names the class cat, which the model never saw; .*trained on: ant, bee"):
        check_classes(np.array([0, 2]), train, splits.spec)
    with pytest.raises(ValueError, match="names the class number 7"):
        check_classes(np.array([7]), train, splits.spec)
