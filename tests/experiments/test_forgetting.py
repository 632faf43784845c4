"""Whether each request was forgotten: the row's numbers, beside those of the victim and of a retrained model."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments import pipeline
from experiments.config import Config
from experiments.measures import forgetting
from experiments.measures.forgetting import RELEARN_MOST
from experiments.measures.lira import lira_membership
from experiments.measures.memo import Memo
from experiments.victims import shadows
from overunlearn_jax import data
from overunlearn_jax.evaluation import evaluate, rightly_predicted
from overunlearn_jax.forgetting import lira_scores, membership, true_label_confidence
from overunlearn_jax.models import predict_fn
from overunlearn_jax.types import DivergedError
from tests.experiments.running import CalledError, MakeConfig, as_deployed, by_attack, meter_of, ready, refuse

MEASURES = {
    "forget_accuracy",
    "retain_accuracy",
    "js_to_retrained",
    "relearn_steps",
    "confidence_auc",
    "confidence_tpr_at_1_fpr",
    "lira_auc",
    "lira_tpr_at_1_fpr",
}


@pytest.mark.usefixtures("no_figures")
def test_every_row_says_whether_the_request_was_forgotten(config: MakeConfig, monkeypatch: pytest.MonkeyPatch):
    settings = config(
        forgetting=True,
        shadows=4,
        unlearning="gradient_ascent",
        method_settings="learning_rate=0.3,steps=10",
        attacks=("normal", "pushing_1"),
    )
    pipeline.run(settings)
    rows = by_attack(settings)
    for row in rows.values():
        for name in MEASURES:
            assert {name, f"{name}_before", f"{name}_retrained"} <= row.keys()
        assert row["js_to_retrained_retrained"] == pytest.approx(0, abs=1e-6)
        assert row["relearn_steps_before"] == 0  # it is where relearning has to come back to
        assert row["js_to_retrained"] > 0
        assert 0 <= row["lira_auc"] <= 1
        assert row["confidence_tpr_at_1_fpr"] is None  # eight test samples of the class
        assert row["gradient_evaluations"] == 10 * row["submitted"]
    assert 0 < rows["normal"]["relearn_steps"] <= RELEARN_MOST
    honest = rows["normal"]
    assert honest["forget_accuracy"] < honest["forget_accuracy_before"] == 1.0
    same = {key for key in honest if key.endswith(("_before", "_retrained")) and key.rsplit("_", 1)[0] in MEASURES}
    assert {key: honest[key] for key in same} == {key: rows["pushing_1"][key] for key in same}
    # a second run finds the retrained model and the shadow models
    again = config(
        forgetting=True,
        shadows=4,
        unlearning="gradient_ascent",
        method_settings="learning_rate=0.1",
        attacks=("normal",),
        workdir=f"{settings.run.workdir}_again",
    )
    monkeypatch.setattr(shadows, "shadow_logits", refuse)
    pipeline.run(again)
    kept = by_attack(again)["normal"]
    assert {key: kept[key] for key in same} == {key: honest[key] for key in same}
    text = (Path(settings.run.workdir) / "results.jsonl").read_text()
    assert all(json.loads(line) for line in text.splitlines())


def test_the_meter_beside_its_parts(config: MakeConfig):
    settings = config(forgetting=True, attacks=("normal", "pushing_1"))
    run = ready(settings)
    test = run.splits.test
    labels = np.where(np.arange(len(test.labels)) == test.labels.argmax(), 0, test.labels)  # on one it is now wrong
    test = test._replace(labels=labels)
    splits = run.splits._replace(test=test)
    meter = meter_of(settings, run.victim, splits, pipeline.seed_keys(0).unlearn)
    request = run.crafter.craft("pushing_1", run.count)
    found = meter(request, as_deployed(run.victim))
    others = rightly_predicted(run.victim.service.predict, test, 0).images
    assert len(others) == (labels == 0).sum() - 1
    scores = [
        true_label_confidence(run.victim.service.predict(images), np.zeros(len(images), int))
        for images in (request.original_images, others)
    ]
    assert found["confidence_auc"] == pytest.approx(membership(*scores).auc)
    assert found["confidence_auc"] == found["confidence_auc_before"]
    assert found["forget_accuracy"] == 1.0  # of the originals, not of what was submitted
    assert "lira_auc" not in found
    oracle = meter._oracle(run.victim.architecture, meter._samples(request).forget)  # found on disk
    retrained = evaluate(predict_fn(run.victim.architecture, oracle), test, 3)
    assert found["overall_retrained"] == retrained.overall
    assert found["class_a_retrained"] == retrained.per_class[0]
    # where it is right on no test sample, there is nothing to tell the forget set from
    wrong = splits._replace(test=test._replace(labels=(run.splits.test.labels + 1) % 3))
    found = meter_of(settings, run.victim, wrong, pipeline.seed_keys(0).unlearn)(request, None)
    assert found["confidence_auc_before"] is found["confidence_auc_retrained"] is None


def test_meters_that_share_measure_the_victim_and_the_retrained_model_once(config: MakeConfig, monkeypatch):
    settings = config(forgetting=True, attacks=("normal", "pushing_1"))
    run = ready(settings)
    request, memo = run.crafter.craft("normal", run.count), Memo()
    keys = pipeline.seed_keys(0)
    first = meter_of(settings, run.victim, run.splits, keys.unlearn, memo)
    found = first(request, as_deployed(run.victim))
    monkeypatch.setattr(forgetting, "retrain", refuse)
    second = meter_of(settings, run.victim, run.splits, keys.unlearn, memo)
    assert second(request, as_deployed(run.victim)) == found
    other = meter_of(settings, run.victim, run.splits, keys.push, memo)  # another oracle
    with pytest.raises(CalledError):
        other(request, as_deployed(run.victim))


def test_relearning_that_never_ends_or_blows_up_counts_as_the_most(config: MakeConfig, monkeypatch):
    settings = config(forgetting=True, attacks=("normal", "pushing_1"))
    run = ready(settings)
    request = run.crafter.craft("normal", run.count)

    def diverge(*_: object, **__: object) -> None:
        raise DivergedError("the loss is no longer finite")

    for relearn in (diverge, lambda *_, **__: None):
        monkeypatch.setattr(forgetting, "relearn_steps", relearn)
        meter = meter_of(settings, run.victim, run.splits, pipeline.seed_keys(0).unlearn)
        assert meter(request, as_deployed(run.victim))["relearn_steps"] == RELEARN_MOST


def test_lira_judges_each_sample_by_what_shadow_models_say_of_that_one():
    draws = np.random.default_rng(0)
    inside = np.array([[1, 0, 1, 0, 1], [0, 1, 0, 1, 0], [1, 1, 0, 0, 1], [0, 0, 1, 1, 0]], bool)
    logits = draws.normal(size=(4, 5)) + 10 * np.arange(5)  # every sample has a level of its own
    made = shadows.Shadows(np.array([30, 10, 20]), logits, inside)  # three to train, then two never seen
    known, unknown = np.array([11.0, 1.0]), np.array([41.0])
    columns = [1, 0, 4]  # the first of the two that were never seen is not asked about
    scores = lira_scores(np.array([11.0, 1.0, 41.0]), logits[:, columns], inside[:, columns])
    expected = membership(scores[:2], scores[2:])
    np.testing.assert_equal(lira_membership(made, np.array([10, 30]), np.array([1]), known, unknown), expected)


def test_lira_is_blind_to_how_much_the_shadow_models_of_either_set_differ():
    # models with a sample answer 2 in the mean, those without it 0; those of the first two samples scatter more
    inside = np.repeat([[True], [False]], 2, axis=0).repeat(4, axis=1)
    scatter = np.array([[1], [-1], [1], [-1]]) * np.array([3.0, 3.0, 1.0, 1.0])
    made = shadows.Shadows(np.array([10, 20]), 2.0 * inside + scatter, inside)
    target = np.array([1.5, 1.6])  # the same on both sides, and above the middle of 0 and 2
    assert lira_membership(made, np.array([10, 20]), np.array([0, 1]), target, target).auc == 0.5


def _shadows(settings: Config, seed: int) -> shadows.Shadows:
    splits = data.load(settings.data.dataset, seed=seed)
    return shadows.train_or_find_shadows(settings.victim, settings.measures.shadows, settings.run.cache_dir, splits, 0)


def test_shadow_models_have_seen_half_of_the_pool_whatever_the_split(config: MakeConfig):
    settings = config(shadows=4, forgetting=True)
    found = [_shadows(settings, seed) for seed in (0, 1)]
    np.testing.assert_array_equal(found[0].train_ids, found[1].train_ids)
    np.testing.assert_array_equal(found[0].logits, found[1].logits)
    np.testing.assert_array_equal(found[0].inside.sum(0), 2)
    assert found[0].logits.shape == (4, 40)  # 32 to train and validate, 8 to test


@pytest.mark.parametrize("number", [2, 3])
def test_numbers_of_shadow_models_that_cannot_be(config: MakeConfig, number: int):
    with pytest.raises(ValueError, match="expected 0, or an even number from 4 on"):
        config(shadows=number, forgetting=True)


def test_forgetting_needs_test_images_of_the_class(config: MakeConfig, dataset: Path, tmp_path: Path, monkeypatch):
    with np.load(dataset) as stored:
        arrays = dict(stored)
    others = arrays["labels"] != 0
    arrays |= {f"test_{name}": arrays[name][others] for name in ("images", "labels")}
    np.savez(tmp_path / "without.npz", **arrays)
    monkeypatch.setattr(pipeline, "train_or_find", refuse)
    with pytest.raises(ValueError, match=r"--forgetting asks .* there are none of class ant: leave it out"):
        pipeline.run(config(dataset=str(tmp_path / "without.npz"), forgetting=True))


def test_shadow_models_without_a_use(config: MakeConfig):
    with pytest.raises(ValueError, match="--shadows=4 serve LiRA, a measure of forgetting: give --forgetting, too"):
        pipeline.run(config(shadows=4))
