"""Each method's steps beside a loop over samples written out by hand, and where two methods have to be the same one."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from overunlearn_jax import unlearn
from overunlearn_jax.types import Split
from overunlearn_jax.unlearn import importance, saliency_mask
from overunlearn_jax.unlearn._scrub import distance_to_teacher
from overunlearn_jax.unlearn.descent import MOMENTUM, NOTHING, Batch, batches
from tests.unlearn.small_model import CLASSES, assert_same_tree, request, softmax_regression

KEY = jax.random.key(5)
MODEL = softmax_regression()
VARIABLES = MODEL.init(KEY)
KERNEL = np.asarray(VARIABLES.params["kernel"], np.float64)
SUBMITTED = request(1, 12)
HELD = Split(*request(2, 12), np.arange(12))
RATE = 0.05


def sample_gradients(kernel, images, labels):
    """x (p - y)^T for each sample (n, pixels, classes), and each one's loss (n,), in float64."""
    pixels = np.asarray(images, np.float64).reshape(len(images), -1)
    logits = pixels @ kernel
    told = scipy.special.softmax(logits, axis=-1)
    losses = -scipy.special.log_softmax(logits, axis=-1)[np.arange(len(labels)), labels]
    return pixels[:, :, None] * (told - np.eye(CLASSES)[labels])[:, None, :], losses


def sgd(kernel, gradient_of, steps):
    velocity = np.zeros_like(kernel)
    for _ in range(steps):
        velocity = MOMENTUM * velocity + gradient_of(kernel)
        kernel = kernel - RATE * velocity
    return kernel


def kernel_after(method):
    return np.asarray(method(MODEL, VARIABLES, *SUBMITTED, KEY, HELD).params["kernel"], np.float64)


def mean_gradient(kernel, samples, keep=lambda losses: np.ones(len(losses), bool)):
    gradients, losses = sample_gradients(kernel, samples[0], samples[1])
    return (gradients * keep(losses)[:, None, None]).mean(0)


@pytest.mark.parametrize("bound", [0.5, 1.4, 100.0])
def test_bounded_ascent(bound):
    ours = kernel_after(unlearn.gradient_ascent(bound=bound, learning_rate=RATE, steps=4))
    theirs = sgd(KERNEL, lambda kernel: -mean_gradient(kernel, SUBMITTED, lambda losses: losses < bound), 4)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_bound_is_a_guess_s_loss_unless_it_is_given():
    default = kernel_after(unlearn.gradient_ascent(learning_rate=RATE))
    np.testing.assert_array_equal(default, kernel_after(unlearn.gradient_ascent(bound=np.log(4), learning_rate=RATE)))


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.95])
def test_neg_grad_plus(weight):
    ours = kernel_after(unlearn.neg_grad_plus(weight=weight, learning_rate=RATE, steps=5))
    theirs = sgd(
        KERNEL,
        lambda kernel: weight * mean_gradient(kernel, HELD) - (1 - weight) * mean_gradient(kernel, SUBMITTED),
        5,
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_retain_tuning_and_what_becomes_it():
    theirs = sgd(KERNEL, lambda kernel: mean_gradient(kernel, HELD), 5)
    np.testing.assert_allclose(
        kernel_after(unlearn.retain_tuning(learning_rate=RATE, steps=5)), theirs, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        kernel_after(unlearn.neg_grad_plus(weight=1.0, learning_rate=RATE, steps=5)), theirs, rtol=1e-4, atol=1e-5
    )
    plain = unlearn.scrub(distillation=0.0, rounds=1, ascents=0, retain_steps=5, learning_rate=RATE)
    np.testing.assert_allclose(kernel_after(plain), theirs, rtol=1e-4, atol=1e-5)


def test_random_labels_learns_wrong_labels_beside_retained_data():
    ours = kernel_after(unlearn.random_labels(learning_rate=RATE, steps=3))
    label_key = jax.random.split(KEY, 3)[0]
    wrong = np.asarray(unlearn.random_other_labels(label_key, jnp.asarray(SUBMITTED[1]), CLASSES))
    assert not np.any(wrong == SUBMITTED[1])
    relabelled = (SUBMITTED[0], wrong)
    theirs = sgd(KERNEL, lambda kernel: mean_gradient(kernel, relabelled) + mean_gradient(kernel, HELD), 3)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_salun_of_all_weights_is_random_labels_and_of_some_moves_those():
    everything = unlearn.random_labels(learning_rate=RATE, steps=3)
    assert_same_tree(
        unlearn.salun(share=1.0, learning_rate=RATE, steps=3)(MODEL, VARIABLES, *SUBMITTED, KEY, HELD),
        everything(MODEL, VARIABLES, *SUBMITTED, KEY, HELD),
    )
    summed = np.abs(sample_gradients(KERNEL, *SUBMITTED)[0].sum(0))
    largest = summed >= np.sort(summed.ravel())[-9]
    mask = saliency_mask(MODEL, VARIABLES, *SUBMITTED, share=0.25)
    np.testing.assert_array_equal(mask["kernel"], largest)
    moved = kernel_after(unlearn.salun(share=0.25, learning_rate=RATE, steps=3)) != KERNEL.astype(np.float32)
    np.testing.assert_array_equal(moved, largest)


def test_saliency_is_ranked_over_all_leaves_together():
    params = {"bias": jnp.zeros(CLASSES), **VARIABLES.params}
    model = model_with_bias()
    mask = saliency_mask(model, VARIABLES._replace(params=params), *SUBMITTED, share=0.5)
    assert sum(int(leaf.sum()) for leaf in jax.tree.leaves(mask)) == round(0.5 * (4 + 36))
    gradients, _ = sample_gradients(KERNEL, *SUBMITTED)
    told = scipy.special.softmax(SUBMITTED[0].reshape(12, -1).astype(np.float64) @ KERNEL, axis=-1)
    bias = np.abs((told - np.eye(CLASSES)[SUBMITTED[1]]).sum(0))
    limit = np.sort(np.concatenate([bias, np.abs(gradients.sum(0)).ravel()]))[20]
    np.testing.assert_array_equal(mask["bias"], bias >= limit)


def model_with_bias():
    def apply(variables, images, key):
        del key  # Unused: no dropout.
        return images.reshape(len(images), -1) @ variables.params["kernel"] + variables.params["bias"], ()

    return MODEL._replace(apply=apply)


def test_importance_is_the_mean_squared_gradient_of_single_samples():
    samples = request(3, 37)  # more than a chunk, not a multiple of it
    ours = importance(MODEL, VARIABLES, Batch(*samples))["kernel"]
    np.testing.assert_allclose(ours, (sample_gradients(KERNEL, *samples)[0] ** 2).mean(0), rtol=1e-4, atol=1e-7)


def test_selective_dampening():
    request_side = (sample_gradients(KERNEL, *SUBMITTED)[0] ** 2).mean(0)
    retained_side = (sample_gradients(KERNEL, HELD.images, HELD.labels)[0] ** 2).mean(0)
    chosen = request_side > 1.2 * retained_side
    assert 0 < chosen.sum() < chosen.size
    ours = kernel_after(unlearn.selective_dampening(selection=1.2, dampening=0.7))
    factor = np.where(chosen, np.minimum(1, 0.7 * retained_side / request_side), 1)
    np.testing.assert_allclose(ours, KERNEL * factor, rtol=1e-4, atol=1e-6)


def test_the_distance_to_the_teacher_is_the_mean_kl_divergence():
    other = VARIABLES._replace(params={"kernel": VARIABLES.params["kernel"] * 0.5})
    ours = distance_to_teacher(MODEL.apply, VARIABLES, other, Batch(*SUBMITTED))
    pixels = SUBMITTED[0].reshape(12, -1).astype(np.float64)
    teacher, student = (scipy.special.softmax(pixels @ kernel, axis=-1) for kernel in (KERNEL, 0.5 * KERNEL))
    assert float(ours) == pytest.approx(scipy.special.rel_entr(teacher, student).sum(-1).mean(), rel=1e-4)
    assert float(distance_to_teacher(MODEL.apply, other, other, Batch(*SUBMITTED))) == pytest.approx(0, abs=1e-6)


def test_one_ascent_of_scrub():
    method = unlearn.scrub(distillation=0.0, rounds=2, ascents=1, retain_steps=1, learning_rate=RATE)

    def climb(kernel):  # the slope of KL(teacher || student) in the logits is student - teacher
        pixels = SUBMITTED[0].reshape(12, -1).astype(np.float64)
        teacher, student = (scipy.special.softmax(pixels @ each, axis=-1) for each in (KERNEL, kernel))
        return -pixels.T @ (student - teacher) / 12

    def down(kernel):
        return mean_gradient(kernel, HELD)

    theirs = sgd(sgd(sgd(KERNEL, down, 1), climb, 1), down, 1)
    np.testing.assert_allclose(kernel_after(method), theirs, rtol=1e-4, atol=1e-6)


def test_an_ascent_of_scrub_goes_over_all_of_a_request_that_is_no_multiple_of_the_batch(monkeypatch):
    climbed = []

    def seen(objective, model, variables, steps, *rest, **settings):
        climbed.extend(len(step.submitted.labels) for step in steps if step.retained is NOTHING)
        return variables

    monkeypatch.setattr(importlib.import_module("overunlearn_jax.unlearn._scrub"), "descend", seen)
    method = unlearn.scrub(rounds=2, ascents=1, retain_steps=1, batch_size=7)  # of 12: not 7 and none of the other 5
    method(MODEL, VARIABLES, *SUBMITTED, KEY, HELD)
    assert climbed == [6, 6]


def test_scrub_leaves_the_teacher_on_the_request_and_stays_near_it_elsewhere():
    method = unlearn.scrub(distillation=5.0, rounds=10, ascents=5, retain_steps=20, learning_rate=RATE)
    student = method(MODEL, VARIABLES, *SUBMITTED, KEY, HELD)
    away, near = (distance_to_teacher(MODEL.apply, VARIABLES, student, each) for each in (Batch(*SUBMITTED), held()))
    assert away > near


def held():
    return Batch(HELD.images, HELD.labels)


def test_batches_are_all_samples_once_an_epoch():
    images, labels = np.arange(10.0).reshape(10, 1, 1, 1), np.arange(10)
    drawn = [batch.labels for batch in batches(KEY, images, labels, 5, 6)]
    assert all(len(rows) == 5 for rows in drawn)
    for epoch in range(3):
        assert sorted(np.concatenate(drawn[2 * epoch : 2 * epoch + 2])) == list(range(10))
    assert not np.array_equal(drawn[0], drawn[2])  # shuffled anew
    short = list(batches(KEY, images, labels, 4, 4))  # the rest of a shuffle is left out
    assert [len(batch.labels) for batch in short] == [4, 4, 4, 4]
    few = list(batches(KEY, images[:3], labels[:3], 64, 2))
    assert [sorted(batch.labels) for batch in few] == [[0, 1, 2]] * 2
