"""A Flax nnx module as a model, beside the module itself in its own two modes."""

import chex
import jax
import numpy as np
import pytest
from flax import nnx

from overunlearn_jax.models import nnx_model, predict_fn
from overunlearn_jax.types import Variables
from overunlearn_jax.unlearn import parameter_paths
from tests.models.nets import NnxNet, nnx_net

IMAGES = np.random.default_rng(0).uniform(-0.5, 0.5, (6, 8, 8, 1)).astype(np.float32)


def test_predictions_are_the_modules_own_in_eval_mode_and_leave_everything_as_it_is():
    module = NnxNet(nnx.Rngs(0))
    module.train()
    model, variables = nnx_model(module)
    logits, state = model.apply(variables, IMAGES, None)
    assert state is variables.state
    assert module.dropout.deterministic is False  # the module itself was not touched
    module.eval()
    np.testing.assert_allclose(logits, module(IMAGES), rtol=1e-5, atol=1e-6)
    asked = jax.jit(lambda predict, images: predict(images))(predict_fn(model, variables), IMAGES)
    np.testing.assert_allclose(asked, jax.nn.softmax(module(IMAGES)), rtol=1e-5)


def test_a_training_pass_updates_the_statistics_as_the_module_does_and_draws_its_dropout_from_the_key():
    module = NnxNet(nnx.Rngs(0))
    model, variables = nnx_model(module)
    apply = jax.jit(model.apply)
    logits, state = apply(variables, IMAGES, jax.random.key(1))
    module.train()
    module(IMAGES)
    norm = module.body.layers[1]
    np.testing.assert_allclose(state["body/layers/1/mean"], norm.mean[...], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(state["body/layers/1/var"], norm.var[...], rtol=1e-5)
    assert not np.array_equal(state["body/layers/1/mean"], variables.state["body/layers/1/mean"])
    np.testing.assert_array_equal(apply(variables, IMAGES, jax.random.key(1))[0], logits)
    assert not np.allclose(apply(variables, IMAGES, jax.random.key(2))[0], logits)


def test_parameters_are_named_by_their_paths():
    variables = nnx_net()[1]
    assert parameter_paths(variables.params) == [
        "body/layers/0/bias",
        "body/layers/0/kernel",
        "body/layers/1/bias",
        "body/layers/1/scale",
        "classifier/bias",
        "classifier/kernel",
    ]
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(variables))


def test_init_draws_what_make_draws_from_the_key():
    model, variables = nnx_net(0)
    drawn = jax.jit(model.init)(jax.random.key(3))
    expected = nnx_model(NnxNet(nnx.Rngs(jax.random.key(3))))[1]
    chex.assert_trees_all_close(drawn, expected, rtol=1e-6)
    assert not np.array_equal(drawn.params["classifier/kernel"], variables.params["classifier/kernel"])


def test_a_module_that_is_called_otherwise():
    class Old(nnx.Module):
        def __init__(self, rngs):
            self.dropout = nnx.Dropout(0.5)
            self.head = nnx.Linear(64, 3, rngs=rngs)

        def __call__(self, images, *, deterministic, rngs=None):
            return self.head(self.dropout(images.reshape(len(images), -1), deterministic=deterministic, rngs=rngs))

    module = Old(nnx.Rngs(0))
    model, variables = nnx_model(module, call=lambda net, images, key: net(images, deterministic=key is None, rngs=key))
    np.testing.assert_allclose(
        model.apply(variables, IMAGES, None)[0], module(IMAGES, deterministic=True), rtol=1e-5, atol=1e-6
    )
    expected = module(IMAGES, deterministic=False, rngs=jax.random.key(1))
    np.testing.assert_allclose(model.apply(variables, IMAGES, jax.random.key(1))[0], expected, rtol=1e-5, atol=1e-6)


def test_what_a_pass_adds_is_left_out():
    class Adds(nnx.Module):
        def __init__(self):
            self.head = nnx.Linear(64, 3, rngs=nnx.Rngs(0))

        def __call__(self, images):
            flat = images.reshape(len(images), -1)
            self.seen = nnx.Intermediate(flat)
            return self.head(flat)

    model, variables = nnx_model(Adds())
    assert variables.state == {}
    assert model.apply(variables, IMAGES, jax.random.key(0))[1] == {}


def test_without_make_nothing_is_drawn():
    model, _ = nnx_model(NnxNet(nnx.Rngs(0)))
    with pytest.raises(ValueError, match="nothing draws another from a key: give nnx_model"):
        model.init(jax.random.key(0))


def test_make_has_to_make_the_same_architecture():
    with pytest.raises(ValueError, match=r"arrays differ, such as body/layers/0/bias: \(\(5,\)"):
        nnx_model(NnxNet(nnx.Rngs(0)), make=lambda rngs: NnxNet(rngs, features=5))


def test_variables_of_another_architecture():
    model, variables = nnx_net()
    kept = {name: leaf for name, leaf in variables.params.items() if "classifier" not in name}
    with pytest.raises(
        ValueError, match="the variables have no classifier/bias, classifier/kernel: they are of another"
    ):
        model.apply(Variables(kept, variables.state), IMAGES, None)
