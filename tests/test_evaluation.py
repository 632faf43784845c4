"""Metrics worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from overunlearn_jax.evaluation import evaluate, evaluate_all, metrics_from_predictions, rightly_predicted
from overunlearn_jax.types import Split
from tests.reference.small_victims import linear_softmax, predicted, random_images, small_spec


def test_metrics_of_seven_predictions():
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    guesses = np.array([0, 0, 2, 0, 1, 2, 2])
    metrics = metrics_from_predictions(labels, guesses, 3)
    assert metrics.overall == pytest.approx(5 / 7)
    np.testing.assert_allclose(metrics.per_class, [2 / 3, 1 / 2, 1])
    assert metrics.per_class.dtype == np.float64
    np.testing.assert_array_equal(metrics.predicted_counts, [[2, 0, 1], [1, 1, 0], [0, 0, 2]])
    assert metrics.predicted_counts.dtype == np.int64


def test_a_class_without_samples_has_no_accuracy():
    metrics = metrics_from_predictions(np.array([0, 0, 3]), np.array([0, 1, 2]), 4)
    np.testing.assert_array_equal(metrics.per_class, [0.5, np.nan, np.nan, 0])
    assert metrics.overall == pytest.approx(1 / 3)
    np.testing.assert_array_equal(metrics.predicted_counts.sum(1), [2, 0, 0, 1])


def test_a_model_is_asked_about_every_image():
    # 300 images: two batches of 128 and a part of another
    spec = small_spec()
    victim, images = linear_softmax(0, spec), random_images(1, 300, spec)
    guesses = predicted(victim, images)
    labels = guesses.copy()
    labels[::3] = (labels[::3] + 1) % 3
    metrics = evaluate(victim, Split(images, labels, np.arange(300)), 3)
    assert metrics.overall == pytest.approx(2 / 3)
    assert metrics.predicted_counts.sum() == 300
    for label in range(3):
        assert metrics.per_class[label] == pytest.approx(np.mean(guesses[labels == label] == label))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_whose_answers_are_no_numbers_is_refused(value):
    victim = jax.tree_util.Partial(lambda bad, images: jnp.full((len(images), 3), bad), jnp.float32(value))
    split = Split(np.zeros((4, 2, 2, 1), np.float32), np.zeros(4, np.int32), np.arange(4))
    with pytest.raises(ValueError, match="not finite"):
        evaluate(victim, split, 3)


def test_one_broken_row_is_enough():
    def predict(weights, images):
        return jnp.where(images[:, 0, 0] > 0.5, jnp.nan, weights)

    split = Split(np.zeros((4, 1, 1, 1), np.float32), np.zeros(4, np.int32), np.arange(4))
    split.images[3] = 1
    victim = jax.tree_util.Partial(predict, jnp.full(3, 1 / 3))
    with pytest.raises(ValueError, match="not finite"):
        evaluate(victim, split, 3)


SPEC = small_spec()
LINEAR = linear_softmax(0, SPEC)
IMAGES = random_images(1, 300, SPEC)
LABELS = (predicted(LINEAR, IMAGES) + (np.arange(300) % 4 == 0)) % 3
SPLIT = Split(IMAGES, LABELS, np.arange(300))


@pytest.mark.parametrize("batch_size", [1, 128, 1000])
def test_a_function_of_arrays_is_measured_as_the_jitted_model_is(batch_size):
    asked = []

    def predict(images):
        assert isinstance(images, np.ndarray)
        asked.append(len(images))
        return np.asarray(LINEAR(images)).tolist()  # as an HTTP client would

    split = Split(*(array[:200] for array in SPLIT))
    metrics = evaluate(predict, split, 3, batch_size=batch_size)
    assert (sum(asked), max(asked)) == (200, min(200, batch_size))
    assert metrics.overall == evaluate(LINEAR, split, 3).overall == pytest.approx(0.75)
    np.testing.assert_array_equal(metrics.predicted_counts, evaluate(LINEAR, split, 3).predicted_counts)


def test_a_scikit_learn_classifier_is_measured():
    classifier = LogisticRegression().fit(IMAGES.reshape(300, -1), LABELS)
    metrics = evaluate(lambda images: classifier.predict_proba(images.reshape(len(images), -1)), SPLIT, 3)
    assert metrics.overall == pytest.approx(classifier.score(IMAGES.reshape(300, -1), LABELS))


def test_a_function_may_keep_its_buffers_and_write_into_its_input():
    buffer = np.empty((100, 3))

    def predict(images):
        buffer[: len(images)] = LINEAR(images)
        images[:] = 0
        return buffer[: len(images)]

    kept = IMAGES.copy()
    metrics = evaluate(predict, SPLIT, 3, batch_size=100)
    np.testing.assert_array_equal(metrics.predicted_counts, evaluate(LINEAR, SPLIT, 3).predicted_counts)
    np.testing.assert_array_equal(IMAGES, kept)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({"images": np.zeros((300, 6, 6, 1), np.uint8)}, {}, "images have dtype uint8; expected floats .* x / 255"),
        ({"images": IMAGES * np.nan}, {}, "images hold NaN or infinity"),
        ({"images": IMAGES + 0.5}, {"bounds": SPEC.bounds}, r"images lie in \[.*expected floats in \[-0\.5, 0\.5\]"),
        ({"labels": np.eye(3)[LABELS]}, {}, r"labels\.argmax\(1\)"),
        ({"labels": LABELS + 1}, {}, "begin at 1, so subtract 1"),
        ({"labels": LABELS[:200]}, {}, "give as many labels as images"),
        ({"labels": np.zeros(0, int), "images": IMAGES[:0]}, {}, "the split is empty"),
        ({}, {"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_a_split_that_cannot_be_measured_on_says_why(fused, change, settings, message):
    predict = LINEAR if fused else lambda images: np.asarray(LINEAR(images))
    with pytest.raises(ValueError, match=message):
        evaluate(predict, SPLIT._replace(**change), 3, **settings)
    evaluate(predict, SPLIT._replace(images=IMAGES + 0.5), 3)  # nobody said what the bounds are


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda p: p * 2, "rows that sum to between 2 and 2"),
        (lambda p: jnp.log(p), "put a softmax behind them"),
        (lambda p: p[:, :2], r"shape \(\d+, 2\) to \d+ images; expected \(\d+, 3\)"),
        (lambda p: p.argmax(-1), r"shape \(\d+,\)"),
        (lambda p: (p > 0.5).astype(int), "expected floats"),
        (lambda p: p * np.nan, "not finite"),
    ],
)
def test_answers_that_are_no_probabilities_are_refused(fused, answer, message):
    predict = jax.tree_util.Partial(lambda images: answer(LINEAR(images)))
    with pytest.raises(ValueError, match=message):
        evaluate(predict if fused else lambda images: np.asarray(predict(images)), SPLIT, 3)


def _two_layers(first, second, images):
    return jax.nn.softmax(jnp.tanh(images.reshape(len(images), -1) @ first) @ second)


def _versions(count):
    rng = np.random.default_rng(0)
    first = jnp.asarray(rng.normal(size=(36, 5)), jnp.float32)
    return {
        f"version {index}": jax.tree_util.Partial(_two_layers, first, jnp.asarray(rng.normal(size=(5, 3)), jnp.float32))
        for index in range(count)
    }


@pytest.mark.parametrize("count", [1, 4])
def test_versions_together_are_judged_as_each_alone(count):
    models = _versions(count)
    images = random_images(1, 300, small_spec())
    split = Split(images, np.arange(300, dtype=np.int32) % 3, np.arange(300))
    together = evaluate_all(models, split, 3)
    assert list(together) == list(models)
    for name, predict in models.items():
        found = together[name]
        assert found is not None
        np.testing.assert_array_equal(found.predicted_counts, evaluate(predict, split, 3).predicted_counts)


def test_a_broken_version_has_no_metrics_and_spoils_no_other():
    models = _versions(3)
    broken = models["version 1"]
    models["version 1"] = jax.tree_util.Partial(broken.func, broken.args[0], broken.args[1] * jnp.nan)
    split = Split(random_images(1, 4, small_spec()), np.zeros(4, np.int32), np.arange(4))
    found = evaluate_all(models, split, 3)
    assert [name for name, metrics in found.items() if metrics is None] == ["version 1"]


def test_only_the_rightly_predicted_samples_of_the_class_are_kept():
    spec = small_spec(num_classes=3)
    victim = linear_softmax(0, spec)
    images = random_images(1, 60, spec)
    said = predicted(victim, images)
    labels = np.where(np.arange(60) % 2, said, (said + 1) % 3).astype(np.int32)  # every other one is wrong
    kept = rightly_predicted(victim, Split(images, labels, np.arange(60)), 1)
    np.testing.assert_array_equal(kept.ids, np.flatnonzero((labels == 1) & (said == 1)))
    assert len(kept.ids) > 3
    nobody = rightly_predicted(victim, Split(images, np.zeros(60, np.int32), np.arange(60)), 1)
    assert len(nobody.labels) == 0
