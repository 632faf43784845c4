"""Fine-tuning: the law of the wrong labels, one SGD step by hand, and what epochs and batches do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.types import Variables
from overunlearn_jax.unlearn import fine_tuning, random_other_labels
from tests.unlearn.small_model import (
    CLASSES,
    IMAGE_SHAPE,
    assert_same_tree,
    cross_entropy,
    request,
    small_model,
    softmax_regression,
)

KEY = jax.random.key(3)
CHI_SQUARE_LIMIT = 24.3  # 7 degrees of freedom, 0.1 %


def _label_statistic(wrong, original, num_classes):
    """Chi-square distance of the labels from "uniform over the other classes"."""
    counts = np.bincount(np.asarray(wrong), minlength=num_classes)
    others = np.delete(counts, original)
    expected = len(wrong) / (num_classes - 1)
    return ((others - expected) ** 2 / expected).sum()


@pytest.mark.parametrize("original", [0, 4, 8])
def test_wrong_labels_are_uniform_over_the_other_classes(original):
    labels = jnp.full(4000, original)
    wrong = random_other_labels(jax.random.key(original), labels, 9)
    assert not np.any(wrong == labels)
    assert wrong.min() >= 0
    assert wrong.max() < 9
    assert _label_statistic(wrong, original, 9) < CHI_SQUARE_LIMIT


def test_the_statistic_rejects_another_law():
    # the neighbour twice as likely as the others, as where a draw over all classes puts the original one there
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 9, 4000)
    assert _label_statistic(np.where(drawn == 4, 5, drawn), 4, 9) > CHI_SQUARE_LIMIT


def test_two_classes_leave_one_wrong_label():
    labels = jnp.array([0, 1, 1, 0])
    np.testing.assert_array_equal(random_other_labels(KEY, labels, 2), [1, 0, 0, 1])


def test_no_epochs_change_nothing():
    model = small_model(dropout=0.5)
    variables = model.init(jax.random.key(0))
    assert_same_tree(fine_tuning(num_classes=CLASSES, epochs=0)(model, variables, *request(1, 5), KEY), variables)


def _possible_steps(variables, images, labels, rate):
    """Every set of weights that one SGD step can lead to: one for each choice of wrong labels."""
    x = images.reshape(len(images), -1).astype(np.float64)
    kernel = np.asarray(variables.params["kernel"], np.float64)
    logits = x @ kernel
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    choices = np.stack(np.meshgrid(*[[c for c in range(CLASSES) if c != y] for y in labels]), -1).reshape(-1, len(x))
    return [kernel - rate * x.T @ (p - np.eye(CLASSES)[wrong]) / len(x) for wrong in choices]


def test_one_step_is_plain_sgd_on_the_mean_loss_of_wrong_labels():
    model = softmax_regression()
    variables = model.init(jax.random.key(0))
    images, labels = request(1, 3)
    tuned = fine_tuning(num_classes=CLASSES, learning_rate=0.2)(model, variables, images, labels, KEY)
    possible = _possible_steps(variables, images, labels, 0.2)
    distances = sorted(np.abs(np.asarray(tuned.params["kernel"]) - kernel).max() for kernel in possible)
    assert distances[0] < 1e-6
    assert distances[1] > 1e-3  # the others are far


def test_the_defaults_are_those_of_the_paper():
    model = softmax_regression()
    variables = model.init(jax.random.key(0))
    images, labels = request(1, 130)
    default = fine_tuning(num_classes=CLASSES)(model, variables, images, labels, KEY)
    named = fine_tuning(num_classes=CLASSES, learning_rate=0.01, batch_size=64, epochs=1, scope="all")
    assert_same_tree(default, named(model, variables, images, labels, KEY))


def test_more_epochs_move_further():
    model = softmax_regression()
    variables = model.init(jax.random.key(0))
    images, labels = request(1, 10)
    moved, losses = [], []
    for epochs in (1, 3, 10):
        tuned = fine_tuning(num_classes=CLASSES, learning_rate=0.1, epochs=epochs)(
            model, variables, images, labels, KEY
        )
        moved.append(float(jnp.linalg.norm(tuned.params["kernel"] - variables.params["kernel"])))
        losses.append(float(cross_entropy(model, tuned, images, labels).mean()))
    assert 0 < moved[0] < moved[1] < moved[2]
    assert float(cross_entropy(model, variables, images, labels).mean()) < losses[0] < losses[1] < losses[2]


def test_the_last_partial_batch_is_used():
    # each sample lights one pixel of its own, so each moves one row of the weights
    model = softmax_regression()
    variables = model.init(jax.random.key(0))
    images = np.eye(9, dtype=np.float32)[:7].reshape(7, *IMAGE_SHAPE)
    labels = np.zeros(7, np.int32)
    tuned = fine_tuning(num_classes=CLASSES, batch_size=4)(model, variables, images, labels, KEY)
    moved = np.abs(np.asarray(tuned.params["kernel"] - variables.params["kernel"])).sum(-1)
    assert (moved[:7] > 0).all()
    assert (moved[7:] == 0).all()
    # a mean over 4 for the full batch, over 3 for the last: each sample's own gradient is divided by its batch
    kernel = np.asarray(variables.params["kernel"], np.float64)
    p = np.exp(kernel) / np.exp(kernel).sum(-1, keepdims=True)
    for row in range(7):
        change = kernel[row] - np.asarray(tuned.params["kernel"][row])
        options = [0.01 * (p[row] - np.eye(CLASSES)[wrong]) / size for wrong in (1, 2, 3) for size in (3, 4)]
        assert min(np.abs(change - option).max() for option in options) < 1e-6


def test_statistics_and_dropout_are_those_of_training():
    model = small_model(dropout=0.5)
    variables = model.init(jax.random.key(0))
    images, labels = request(1, 6)
    tune = fine_tuning(num_classes=CLASSES, learning_rate=0.1)
    tuned = tune(model, variables, images, labels, KEY)
    _, expected = model.apply(variables, images, jax.random.key(0))
    np.testing.assert_allclose(tuned.state["mean_square"], expected["mean_square"], rtol=1e-5)
    assert_same_tree(tuned, tune(model, variables, images, labels, KEY))
    without = fine_tuning(num_classes=CLASSES, learning_rate=0.1)(small_model(), variables, images, labels, KEY)
    assert not np.allclose(without.params["body"]["kernel"], tuned.params["body"]["kernel"])


def test_only_the_scope_is_tuned():
    model = small_model()
    variables = model.init(jax.random.key(0))
    tuned = fine_tuning(num_classes=CLASSES, learning_rate=0.1, scope="head", epochs=2)(
        model, variables, *request(1, 6), KEY
    )
    assert_same_tree(tuned.params["body"], variables.params["body"])
    assert not np.allclose(tuned.params["head_logits"]["kernel"], variables.params["head_logits"]["kernel"])


def test_the_same_key_gives_the_same_weights_and_another_key_others():
    model = softmax_regression()
    variables = model.init(jax.random.key(0))
    images, labels = request(1, 12)
    tune = fine_tuning(num_classes=CLASSES)
    first, again, other = (
        tune(model, variables, images, labels, jax.random.key(seed)).params["kernel"] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_second_request_is_not_traced_again():
    traces = []
    model = small_model(traces=traces)
    variables = model.init(jax.random.key(0))
    fine_tuning(num_classes=CLASSES)(model, variables, *request(1, 6), KEY)
    of_one_request = len(traces)
    fine_tuning(num_classes=CLASSES)(model, variables, *request(2, 6), KEY)
    assert len(traces) == of_one_request > 0


def test_another_number_of_classes_than_the_model_s_is_refused():
    model = small_model()
    variables = model.init(jax.random.key(0))
    with pytest.raises(ValueError, match=f"num_classes is 100; expected {CLASSES}, one for each logit"):
        fine_tuning(num_classes=100)(model, variables, *request(1, 6), KEY)


def test_an_empty_request_is_refused():
    model = small_model()
    variables = Variables(*model.init(jax.random.key(0)))
    empty = np.zeros((0, *IMAGE_SHAPE), np.float32), np.zeros(0, np.int32)
    with pytest.raises(ValueError, match="request is empty"):
        fine_tuning(num_classes=CLASSES)(model, variables, *empty, KEY)
