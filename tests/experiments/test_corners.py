"""Runs that are odd but allowed, and those that would end in a wrong number if nobody looked."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments import pipeline
from experiments.config import Config
from overunlearn_jax import data
from overunlearn_jax.attack_names import ATTACK_NAMES
from overunlearn_jax.digests import sealed_text
from overunlearn_jax.reporting import read_rows
from overunlearn_jax.services.local import check_requests
from overunlearn_jax.types import Request, Split
from tests.experiments import tiny

MakeConfig = Callable[..., Config]


def rows_of(config: Config) -> list[dict]:
    return read_rows(Path(config.run.workdir) / "results.jsonl")


@pytest.mark.usefixtures("no_figures")
def test_a_budget_leaves_enough_for_the_labels_that_have_to_be_asked(config: MakeConfig):
    settings = config(query_budget=200 + 40 * 17, attacks=tuple(ATTACK_NAMES))  # two ask again after the pushes
    pipeline.run(settings)
    spent = {row["attack"]: row for row in rows_of(settings)}
    for asks in ("blending", "repeated"):
        assert spent[asks]["queries"] == spent[asks]["submitted"] > 0
    assert spent["pushing_1"]["failed"] > 0, "the budget binds"
    asked = sum(spent[attack]["queries"] for attack in ("pushing_1", "blending", "repeated"))
    assert asked + spent["normal"]["requested"] + spent["normal"]["skipped"] <= settings.attack.query_budget


@pytest.mark.usefixtures("no_figures")
def test_results_without_their_config_are_not_adopted(config: MakeConfig):
    settings = config(attacks=("normal",))
    pipeline.run(settings)
    (Path(settings.run.workdir) / "config.json").unlink()
    with pytest.raises(ValueError, match=r"no config.json beside it: give another --workdir"):
        pipeline.run(settings)


@pytest.mark.usefixtures("no_figures")
def test_a_start_that_has_nothing_to_do_keeps_the_note_of_what_made_the_rows(config: MakeConfig):
    settings = config(attacks=("normal",))
    pipeline.run(settings)
    path = Path(settings.run.workdir) / "manifest.json"
    path.write_text(sealed_text(json.loads(path.read_text()) | {"device": "the old one"}))
    report = pipeline.run(settings)
    assert json.loads(path.read_text())["device"] == "the old one"
    assert "the old one" not in report.read_text()  # a complete run is left as it is
    report.unlink()
    pipeline.run(settings)
    assert "the old one" in (Path(settings.run.workdir) / "summary.md").read_text()


NOT_MEASURED = {
    "overall",
    "class_a",
    "class_b",
    "class_a_predicted",
    "class_a_right_predicted",
    "per_class",
    "weights_changed",
}


@pytest.mark.usefixtures("no_figures")
def test_a_tau_that_breaks_the_weights_spoils_no_other(config: MakeConfig):
    settings = config(attacks=("normal",), taus=(1e38, 1e-3), scope="all")
    pipeline.run(settings)
    broken, whole = rows_of(settings)
    assert (broken["diverged"], broken["diverged_because"]) == (True, "its answers are not finite")
    assert {name for name, value in broken.items() if value is None} - {"steps_median", "lpips_mean"} == NOT_MEASURED
    assert "diverged" not in whole
    assert whole["class_a"] is not None
    alone = config(attacks=("normal",), taus=(1e-3,), scope="all", workdir=f"{settings.run.workdir}_alone")
    pipeline.run(alone)
    assert tiny.without_wall_times(rows_of(alone)) == tiny.without_wall_times([whole])


DIVERGES = """
import jax
import jax.numpy as jnp

def at_the_second_request(params, request, key, retain=None, calls=[]):
    calls.append(len(request.images))
    second = len(request.images) > 1 and sum(size > 1 for size in calls) == 2  # the trial is of one sample
    return jax.tree.map(lambda leaf: leaf * jnp.nan, params) if second else params
"""


def test_a_request_after_which_unlearning_diverges_is_a_row_and_the_run_goes_on(
    config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "diverging_service.py").write_text(DIVERGES)
    monkeypatch.syspath_prepend(tmp_path)
    settings = config(
        attacks=("normal", "blending"), seeds=(0, 1), unlearning="diverging_service:at_the_second_request"
    )
    report = pipeline.run(settings)
    rows = rows_of(settings)
    assert [row.get("diverged", False) for row in rows] == [False, True, False, False]
    assert "with NaN or infinity" in rows[1]["diverged_because"]
    assert all(rows[1][name] is None for name in (*NOT_MEASURED, "gradient_evaluations"))
    assert rows[1]["class_a_before"] == rows[0]["class_a_before"]
    for page in (report, report.with_name("summary.md")):
        assert "1 of 2 diverged" in page.read_text()
        assert "Blending: unlearning diverged for seed 1" not in page.read_text()
        assert "Blending: unlearning diverged for seed 0: no model is left to measure." in page.read_text()
    first = rows_of(settings)
    pipeline.run(settings)  # the row is finished
    assert rows_of(settings) == first


@pytest.mark.usefixtures("no_figures")
def test_a_method_that_diverges_after_every_request_is_measured_beside_the_others(config: MakeConfig):
    settings = config(
        attacks=("normal", "blending"),
        unlearning="gradient_ascent",
        method_settings="learning_rate=3e38,steps=5,bound=1e9",
        forgetting=True,
    )
    report = pipeline.run(settings)
    for row in rows_of(settings):
        assert "take a smaller learning_rate" in row["diverged_because"]
        assert row["forget_accuracy"] is row["relearn_steps"] is None
        assert row["forget_accuracy_before"] is not None
        assert row["relearn_steps_retrained"] is not None
    assert "Unlearning diverged after honest request, blending. Nothing to compare" in report.read_text()
    assert "| diverged |" in report.with_name("summary.md").read_text()


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


def _of_labels(*labels: int) -> Request:
    return Request(np.zeros((len(labels), 8, 8, 1), np.float32), np.array(labels))


def test_a_class_that_the_model_never_saw_cannot_be_forgotten(config: MakeConfig):
    splits = data.load(config().data.dataset, seed=0)
    ants_and_bees = splits.train.labels < 2
    train = Split(*(part[ants_and_bees] for part in splits.train))
    check_requests([_of_labels(0, 1, 1)], train, splits.spec)
    with pytest.raises(ValueError, match=r"names the class cat, which the model never saw; .*trained on: ant, bee"):
        check_requests([_of_labels(0, 1), _of_labels(2)], train, splits.spec)
    with pytest.raises(ValueError, match="names the class number 7"):
        check_requests([_of_labels(7)], train, splits.spec)
