"""Victims as functions, and models that were not written for this package: by hand, by Flax's nnx, by Equinox."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.attacks import ZooSettings, push
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.models import predict_fn, pure_model, vgg
from overunlearn_jax.training import TrainSettings, fit
from overunlearn_jax.types import Bounds, DatasetSpec, Split, Splits, Variables
from overunlearn_jax.unlearn import first_order, parameter_paths
from tests.models.nets import equinox_net, nnx_net
from tests.models.slow_numpy import random_variables

BOUNDS = Bounds(-1.0, 1.0)


def _splits(seed):
    """Three classes of 8x8 images: noise around a pattern for each class."""
    rng = np.random.default_rng(seed)
    patterns = rng.uniform(-0.5, 0.5, (3, 8, 8, 1))

    def part(count):
        labels = rng.integers(0, 3, count).astype(np.int32)
        images = patterns[labels] + rng.normal(size=(count, 8, 8, 1)) * 0.2
        return Split(np.clip(images, *BOUNDS).astype(np.float32), labels, np.arange(count))

    return Splits(DatasetSpec("patterns", (8, 8, 1), BOUNDS, ("a", "b", "c")), part(48), part(24), part(24))


def _linear_init(key):
    return {"weights": 0.01 * jax.random.normal(key, (64, 3)), "bias": jnp.zeros(3)}


def _linear_apply(params, images):
    return images.reshape(len(images), -1) @ params["weights"] + params["bias"]


def test_victims_answer_probabilities():
    model = vgg(5, (8, 8, 1), blocks=1, width=4)
    images = np.random.default_rng(0).uniform(-5, 5, (7, 8, 8, 1)).astype(np.float32)
    variables = random_variables(model, 0)
    probabilities = np.asarray(predict_fn(model, variables)(images))
    assert probabilities.shape == (7, 5)
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-6)
    logits = np.asarray(model.apply(variables, images, None)[0], np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)


def test_a_second_victim_of_a_model_is_not_traced_again():
    traces = []

    def counted(params, images):
        traces.append(images.shape)
        return _linear_apply(params, images)

    model = pure_model(_linear_init, counted)
    ask = jax.jit(lambda victim, images: victim(images))
    images = jnp.ones((4, 8, 8, 1))
    first, second = (ask(predict_fn(model, model.init(jax.random.key(seed))), images) for seed in range(2))
    assert len(traces) == 1
    assert not np.allclose(first, second)
    ask(predict_fn(model, model.init(jax.random.key(2))), images[:2])
    assert len(traces) == 2  # the counter does see a new shape


def test_a_victim_is_a_pytree_of_its_variables():
    model = vgg(5, (8, 8, 1), blocks=1, width=4)
    variables = random_variables(model, 0)
    leaves = jax.tree.leaves(predict_fn(model, variables))
    assert len(leaves) == len(jax.tree.leaves(variables))
    assert all(ours is theirs for ours, theirs in zip(leaves, jax.tree.leaves(variables), strict=True))


def test_a_model_written_by_hand_passes_the_same_way_with_and_without_a_key():
    model = pure_model(_linear_init, _linear_apply)
    variables = model.init(jax.random.key(0))
    assert variables.state == ()
    images = jnp.ones((4, 8, 8, 1))
    np.testing.assert_array_equal(variables.params["weights"], _linear_init(jax.random.key(0))["weights"])
    for key in (None, jax.random.key(1)):
        logits, state = model.apply(variables, images, key)
        np.testing.assert_array_equal(logits, _linear_apply(variables.params, images))
        assert state == ()


IMAGES = jnp.ones((4, 8, 8, 1))


def test_parameters_that_are_there_already_are_wrapped_not_drawn():
    params = _linear_init(jax.random.key(3))
    model = pure_model(lambda key: params, _linear_apply)
    expected = jax.nn.softmax(_linear_apply(params, IMAGES))
    for variables in (Variables(params), model.init(jax.random.key(0))):
        np.testing.assert_allclose(predict_fn(model, variables)(IMAGES), expected, rtol=1e-6)
        np.testing.assert_array_equal(variables.params["weights"], params["weights"])


def test_bare_parameters_are_told_apart_from_variables():
    model = pure_model(_linear_init, _linear_apply)
    params = _linear_init(jax.random.key(0))
    for call in (
        lambda: model.apply(params, IMAGES, None),
        lambda: jax.jit(predict_fn(model, params))(IMAGES),
        lambda: first_order(0.1, bounds=BOUNDS)(model, params, IMAGES, np.zeros(4, int), jax.random.key(0)),
    ):
        with pytest.raises(ValueError, match=r"given a dict; expected Variables: wrap parameters, Variables\(params\)"):
            call()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda logits: (logits, {}), r"returned a tuple to 4 images; expected logits of shape \(4, k\)"),
        (lambda logits: logits[0], r"returned an array of shape \(3,\) to 4 images"),
        (lambda logits: logits.argmax(-1), r"returned an array of shape \(4,\)"),
        (lambda logits: logits[..., None], r"returned an array of shape \(4, 3, 1\)"),
        (lambda logits: logits.T, r"returned an array of shape \(3, 4\)"),
        (lambda logits: None, "returned a NoneType"),
    ],
)
def test_what_are_no_logits_is_told_when_the_model_is_called(answer, message):
    model = pure_model(_linear_init, lambda params, images: answer(_linear_apply(params, images)))
    variables = model.init(jax.random.key(0))
    for call in (lambda: model.apply(variables, IMAGES, None), lambda: jax.jit(predict_fn(model, variables))(IMAGES)):
        with pytest.raises(ValueError, match=message):
            call()


def test_an_init_that_wraps_its_parameters_itself_is_told_so():
    model = pure_model(lambda key: Variables(_linear_init(key)), _linear_apply)
    with pytest.raises(ValueError, match=r"init returned Variables; pure_model expects the parameters alone"):
        model.init(jax.random.key(0))


def _equinox_net():
    pytest.importorskip("equinox", reason="pip install -e '.[equinox]'")
    return equinox_net()[0]


@pytest.mark.parametrize(
    ("make", "pattern"),
    [
        (lambda: pure_model(_linear_init, _linear_apply), "bias"),
        (lambda: nnx_net()[0], "classifier"),
        (_equinox_net, "classifier"),
    ],
    ids=["by_hand", "nnx", "equinox"],
)
def test_other_models_train_predict_and_unlearn(make, pattern, tmp_path):
    model, splits = make(), _splits(0)
    settings = TrainSettings(learning_rate=0.02, batch_size=16, epochs=4)
    variables = fit(model, splits, settings, jax.random.key(0), directory=tmp_path)
    assert evaluate(predict_fn(model, variables), splits.test, 3).overall > 0.8

    images, labels = splits.train.images[splits.train.labels == 1], splits.train.labels[splits.train.labels == 1]
    unlearned = first_order(0.02, bounds=BOUNDS, scope="all")(model, variables, images, labels, jax.random.key(1))
    before, after = (predict_fn(model, weights)(images)[:, 1].mean() for weights in (variables, unlearned))
    assert after < before

    service = BlackBox(splits.spec, predict_fn(model, variables))
    pushed = push(
        service,
        images[:2],
        labels[:2],
        ZooSettings(BOUNDS, coordinates=8, step_size=0.1, max_steps=200),
        jax.random.key(2),
    )
    assert pushed.crossed.all()
    assert (service.query(pushed.outside).argmax(-1) != labels[:2]).all()

    part = first_order(0.02, bounds=BOUNDS, scope=pattern)(model, variables, images, labels, jax.random.key(1))
    leaves = [jax.tree.leaves(tree) for tree in (variables.params, part.params)]
    for path, old, new in zip(parameter_paths(variables.params), *leaves, strict=True):
        assert np.array_equal(old, new) == (pattern not in path), path
    chex.assert_trees_all_equal(variables.state, unlearned.state)
