"""Whether each request was forgotten: the row's numbers, beside those of the victim and of a retrained model."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments import forgetting, pipeline, shadows
from experiments.forgetting import RELEARN_MOST, ForgettingMeter, _lira
from overunlearn_jax import data
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.forgetting import lira_scores, membership, true_label_confidence
from overunlearn_jax.models import predict_fn
from overunlearn_jax.types import DivergedError
from tests.experiments.running import MakeConfig, by_attack, ready, refuse

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
        workdir=f"{settings.workdir}_again",
    )
    monkeypatch.setattr(shadows, "shadow_logits", refuse)
    pipeline.run(again)
    kept = by_attack(again)["normal"]
    assert {key: kept[key] for key in same} == {key: honest[key] for key in same}
    text = (Path(settings.workdir) / "results.jsonl").read_text()
    assert all(json.loads(line) for line in text.splitlines())


def test_the_meter_beside_its_parts(config: MakeConfig):
    settings = config(forgetting=True, attacks=("normal", "pushing_1"))
    run = ready(settings)
    meter = ForgettingMeter(settings, run.victim, run.splits, 0, pipeline.seed_keys(0).unlearn)
    request = run.crafter.craft("pushing_1", run.count)
    found = meter.measure(request, run.victim.variables)
    others = run.splits.test.images[run.splits.test.labels == 0]
    scores = [
        true_label_confidence(run.victim.predict(images), np.zeros(len(images), int))
        for images in (request.original_images, others)
    ]
    assert found["confidence_auc"] == pytest.approx(membership(*scores).auc)
    assert found["confidence_auc"] == found["confidence_auc_before"]
    assert found["forget_accuracy"] == 1.0  # of the originals, not of what was submitted
    assert "lira_auc" not in found
    reference, _ = meter._known[request.original_ids.tobytes()]
    retrained = evaluate(predict_fn(run.victim.architecture, reference.oracle), run.splits.test, 3)
    assert found["overall_retrained"] == retrained.overall
    assert found["class_a_retrained"] == retrained.per_class[0]


def test_relearning_that_never_ends_or_blows_up_counts_as_the_most(config: MakeConfig, monkeypatch):
    settings = config(forgetting=True, attacks=("normal", "pushing_1"))
    run = ready(settings)
    request = run.crafter.craft("normal", run.count)

    def diverge(*_: object, **__: object) -> None:
        raise DivergedError("the loss is no longer finite")

    for relearn in (diverge, lambda *_, **__: None):
        monkeypatch.setattr(forgetting, "relearn_steps", relearn)
        meter = ForgettingMeter(settings, run.victim, run.splits, 0, pipeline.seed_keys(0).unlearn)
        assert meter.measure(request, run.victim.variables)["relearn_steps"] == RELEARN_MOST


def test_lira_judges_each_sample_by_what_shadow_models_say_of_that_one():
    draws = np.random.default_rng(0)
    inside = np.array([[1, 0, 1, 0, 1], [0, 1, 0, 1, 0], [1, 1, 0, 0, 1], [0, 0, 1, 1, 0]], bool)
    logits = draws.normal(size=(4, 5)) + 10 * np.arange(5)  # every sample has a level of its own
    made = shadows.Shadows(np.array([30, 10, 20]), logits, inside)  # three to train, then two never seen
    known, unknown = np.array([11.0, 1.0]), np.array([29.0, 41.0])
    expected = membership(
        lira_scores(known, logits[:, [1, 0]], inside[:, [1, 0]]),
        lira_scores(unknown, logits[:, [3, 4]], inside[:, [3, 4]]),
    )
    np.testing.assert_equal(_lira(made, np.array([10, 30]), known, unknown), expected)


def test_shadow_models_have_seen_half_of_the_pool_whatever_the_split(config: MakeConfig):
    settings = config(shadows=4, forgetting=True)
    found = [shadows.train_or_find_shadows(settings, data.load(settings.dataset, seed=seed), 0) for seed in (0, 1)]
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
