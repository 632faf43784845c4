"""`--service=my_module:MyService`: audited by the pipeline, named by its answers, never judged by an old verdict."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import pipeline
from experiments.config import Config
from experiments.requests import searches
from overunlearn_jax.auditing.judging import forgetting_tables
from overunlearn_jax.reporting.forgetting import NO_TRAINING, NO_WEIGHTS
from overunlearn_jax.services.inspection import ServiceError
from tests.experiments.running import CalledError, MakeConfig, by_attack, refuse, rows_of

THEIRS = """
import numpy as np
import scipy.special

SEED, STEP, RESETS = {seed}, {step}, {resets}

class Service:
    def __init__(self, train):
        flat, targets = train.images.reshape(len(train.labels), -1), np.eye(3)[train.labels]
        self.weights = np.random.default_rng(SEED).normal(0, 0.1, (flat.shape[1], 3))
        for _ in range(200):
            self.weights -= 0.05 * flat.T @ (scipy.special.softmax(flat @ self.weights, -1) - targets) / len(flat)
        self.kept = self.weights.copy()
    def predict(self, images):
        return scipy.special.softmax(3 * images.reshape(len(images), -1) @ self.weights, -1)
    def forget(self, images, labels):
        flat = images.reshape(len(images), -1)
        self.weights += STEP * flat.T @ (self.predict(images) - np.eye(3)[labels])
    def reset(self):
        if RESETS:
            self.weights = self.kept.copy()
"""
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # a file of the same second and size would be an old module

    def write(seed: int = 0, step: float = 0.02, resets: bool = True) -> None:
        (tmp_path / "own_service.py").write_text(THEIRS.format(seed=seed, step=step, resets=resets))
        sys.modules.pop("own_service", None)

    write()
    return write


@pytest.fixture
def settings(config: MakeConfig, tmp_path: Path) -> Config:
    made = config(attacks=("normal", "pushing_1"), fractions=(0.25,), cache_dir=str(tmp_path / "cache"))
    return made.replace(
        service="own_service:Service", **{name: getattr(Config().victim, name) for name in vars(made.victim)}
    )


@pytest.mark.usefixtures("no_figures")
def test_trained_anew_behind_the_same_code_it_is_another_service(settings: Config, write: Write, tmp_path: Path):
    pipeline.run(settings)
    rows = by_attack(settings)
    first = rows["normal"]
    assert first["unlearning"] == first["model"] == "own_service:Service"
    assert first["weights_changed"] is first["gradient_evaluations"] is first["overall_train_before"] is None
    assert first["class_a_before"] > 0.9
    assert rows["pushing_1"]["submitted"] > 0
    pipeline.run(settings)  # complete: left as it is
    elsewhere = settings.replace(workdir=str(tmp_path / "elsewhere"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searches, "push", refuse)  # the same answers: its pushes are found
        pipeline.run(elsewhere)
    assert by_attack(elsewhere)["normal"]["victim"] == first["victim"]
    write(seed=1)  # the old verdict is not repeated, and old samples are not used against it
    with pytest.raises(ValueError, match="rows that were made before --service=own_service:Service changed"):
        pipeline.run(settings)
    anew = settings.replace(workdir=str(tmp_path / "anew"))
    pipeline.run(anew)
    assert by_attack(anew)["normal"]["victim"] != first["victim"]
    write(step=0.05)  # predict is as it was, forget is not
    with pytest.raises(ValueError, match="rows that were made before --service=own_service:Service changed"):
        pipeline.run(elsewhere)
    faster = settings.replace(workdir=str(tmp_path / "faster"))
    pipeline.run(faster)
    found = by_attack(faster)["normal"]
    assert found["victim"] == first["victim"]
    assert found["forgetting_name"] != first["forgetting_name"]


def test_a_reset_that_does_not_work_is_found_before_anything_is_pushed(settings: Config, write: Write, monkeypatch):
    monkeypatch.setattr(pipeline, "push_seed", refuse)
    write(resets=False)
    with pytest.raises(ServiceError, match="after reset the service answers otherwise"):
        pipeline.run(settings)
    # a deletion that was not ended is noted; the mended service is reset, compared and goes on
    [note] = Path(settings.run.cache_dir).rglob("deleting.json")
    assert json.loads(note.read_text())["samples"] == 1
    write(seed=3)
    with pytest.raises(ServiceError, match="deletion from own_service:Service was not ended"):
        pipeline.run(settings)


@pytest.mark.usefixtures("no_figures")
def test_after_a_kill_in_the_middle_of_a_deletion_the_service_is_reset_and_the_run_goes_on(settings: Config, write):
    pipeline.run(settings)
    expected = rows_of(settings)
    [lock] = Path(settings.run.cache_dir).rglob("deleting.lock")
    note = lock.with_name("deleting.json")
    note.write_text(json.dumps({"service": expected[0]["victim"], "samples": 7, "pid": 1, "host": "x"}))
    results = Path(settings.run.workdir) / "results.jsonl"
    results.write_text(results.read_text().splitlines()[0] + "\n")
    pipeline.run(settings)
    assert not note.exists()
    assert [row["class_a"] for row in rows_of(settings)] == [row["class_a"] for row in expected]


def test_a_forget_that_changes_nothing_is_said_before_anything_is_pushed(
    settings: Config, write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    write(step=0.0)
    monkeypatch.setattr(pipeline, "push_seed", refuse)
    with pytest.raises(CalledError):
        pipeline.run(settings)
    expected = "WARNING: own_service:Service: forgetting one sample changed none of the service's answers"
    assert expected in capsys.readouterr().err


@pytest.mark.usefixtures("no_figures")
def test_forgetting_without_weights_says_what_is_missing(settings: Config, write: Write):
    run = settings.replace(forgetting=True, attacks=("normal",))
    pipeline.run(run)
    [row] = rows_of(run)
    assert 0 <= row["forget_accuracy"] <= 1
    assert 0 <= row["confidence_auc"] <= 1
    assert not {"relearn_steps", "js_to_retrained", "lira_auc", "overall_retrained"} & row.keys()
    assert row["forgetting_not_measured"] == f"{NO_WEIGHTS}; {NO_TRAINING}"
    [table] = forgetting_tables([row])  # the columns say why they are empty
    assert f"relearn steps (not measured: {NO_WEIGHTS})" in table
    assert f"JS to retrained (not measured: {NO_TRAINING})" in table
    assert "(retrained)" not in table
    assert "(the victim)" in table


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"service": "mine"}, "--service=mine: expected my_module:MyService"),
        ({"service": "m:S", "unlearning": "scrub"}, "forgets in its own way, and --unlearning=scrub would be ignored"),
        ({"service": "m:S", "width": 8}, "a model of its own, and --width would be ignored"),
        ({"service": "m:S", "shadows": 4}, "--service=m:S with --shadows"),
        ({"service": "m:S", "service_timeout": 0.0}, "--service_timeout=0.0: expected a number"),
    ],
)
def test_what_does_not_go_together(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Config.of(**changes)
