"""An Equinox module as a model, beside the module itself, called as its own users call it."""

import sys

import chex
import jax
import numpy as np
import pytest

from overunlearn_jax.models import equinox_model, predict_fn
from overunlearn_jax.unlearn import parameter_paths
from tests.models.nets import equinox_net, make_equinox_net

IMAGES = np.random.default_rng(0).uniform(-0.5, 0.5, (6, 8, 8, 1)).astype(np.float32)
CHANNELS_FIRST = IMAGES.transpose(0, 3, 1, 2)
KEY = jax.random.key(1)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "equinox", None)
    with pytest.raises(ImportError, match=r"pip install equinox, or in the clone pip install -e '\.\[equinox\]'"):
        equinox_model(object())


@pytest.fixture
def eqx():
    return pytest.importorskip("equinox", reason="pip install -e '.[equinox]'")


def _mapped(net, state, keys):
    apply = jax.vmap(lambda image, state, key: net(image, state, key=key), (0, None, 0), (0, None), axis_name="batch")
    return apply(CHANNELS_FIRST, state, keys)


def test_predictions_are_the_modules_own_in_inference_mode(eqx):
    net, state = make_equinox_net(jax.random.key(0))
    model, variables = equinox_model(net, state)
    logits, kept = model.apply(variables, IMAGES, None)
    assert kept is variables.state
    expected, _ = _mapped(eqx.nn.inference_mode(net), state, jax.random.split(KEY, 6))
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
    asked = jax.jit(lambda predict, images: predict(images))(predict_fn(model, variables), IMAGES)
    np.testing.assert_allclose(asked, jax.nn.softmax(expected), rtol=1e-5)


def test_a_training_pass_is_the_modules_own(eqx):
    net, state = make_equinox_net(jax.random.key(0))
    model, variables = equinox_model(net, state)
    apply = jax.jit(model.apply)
    logits, updated = apply(variables, IMAGES, KEY)
    expected, tracked = _mapped(net, state, jax.random.split(KEY, 6))
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
    for one, other in zip(updated.values(), jax.tree.leaves(tracked), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    assert not np.array_equal(updated["1/0"], variables.state["1/0"])
    assert not np.allclose(apply(variables, IMAGES, jax.random.key(2))[0], logits)


def test_parameters_are_named_by_their_paths(eqx):
    model, variables = equinox_net()
    names = ["classifier/bias", "classifier/weight", "conv/bias", "conv/weight", "norm/bias", "norm/weight"]
    assert parameter_paths(variables.params) == names
    drawn = jax.jit(model.init)(jax.random.key(3))
    expected = equinox_model(*make_equinox_net(jax.random.key(3)))[1]
    chex.assert_trees_all_close(drawn, expected, rtol=1e-6)


def test_a_module_without_state_of_flat_images(eqx):
    net = eqx.nn.Sequential([eqx.nn.Lambda(jax.numpy.ravel), eqx.nn.MLP(64, 3, 8, 1, key=KEY), eqx.nn.Dropout(0.5)])
    model, variables = equinox_model(net, channels_first=False)
    expected = jax.vmap(eqx.nn.inference_mode(net))(IMAGES)
    np.testing.assert_allclose(model.apply(variables, IMAGES, None)[0], expected, rtol=1e-5, atol=1e-6)
    logits, state = model.apply(variables, IMAGES, KEY)
    np.testing.assert_allclose(
        logits, jax.vmap(lambda image, key: net(image, key=key))(IMAGES, jax.random.split(KEY, 6)), rtol=1e-5, atol=1e-6
    )
    assert state == {}


def test_a_module_that_takes_no_key(eqx):
    class Plain(eqx.Module):
        head: eqx.nn.Linear

        def __call__(self, image):
            return self.head(image.ravel())

    net = Plain(eqx.nn.Linear(64, 3, key=KEY))
    model, variables = equinox_model(net)
    for key in (None, KEY):
        np.testing.assert_allclose(
            model.apply(variables, IMAGES, key)[0], jax.vmap(net)(CHANNELS_FIRST), rtol=1e-5, atol=1e-6
        )


def test_what_is_missing_is_said(eqx):
    net, state = make_equinox_net(jax.random.key(0))
    with pytest.raises(ValueError, match="keeps a state, such as batch statistics, and none is given"):
        equinox_model(net)
    model, _ = equinox_model(net, state)
    with pytest.raises(ValueError, match="nothing draws another from a key: give equinox_model"):
        model.init(KEY)
    with pytest.raises(ValueError, match=r"arrays differ, such as classifier/weight: \(\(3, 320\)"):
        equinox_model(net, state, make=lambda key: make_equinox_net(key, features=5))
