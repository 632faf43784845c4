"""The ResNet of the paper: its layers, its size, and its forward pass against plain NumPy."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from overunlearn_jax.models import resnet
from overunlearn_jax.models._resnet import ResNet
from overunlearn_jax.unlearn import parameter_paths
from tests.models.slow_numpy import random_variables, resnet_logits


def _convolution_kernels(params):
    paths = parameter_paths(params)
    leaves = jax.tree.leaves(params)
    return {path: leaf.shape for path, leaf in zip(paths, leaves, strict=True) if len(leaf.shape) == 4}


def test_layers_of_the_paper():
    params = jax.eval_shape(resnet(10, (32, 32, 3)).init, jax.random.key(0)).params
    assert _convolution_kernels(params) == {
        "stem_conv/kernel": (3, 3, 3, 64),
        "block_0_0_conv/kernel": (3, 3, 64, 64),
        "block_0_1_conv/kernel": (3, 3, 64, 64),
        "block_1_0_conv/kernel": (3, 3, 64, 64),
        "block_1_1_conv/kernel": (3, 3, 64, 64),
        "block_2_0_conv/kernel": (3, 3, 64, 128),
        "block_2_1_conv/kernel": (3, 3, 128, 128),
        "block_2_shortcut/kernel": (1, 1, 64, 128),
    }
    assert params["head_dense"]["kernel"].shape == (128, 128)
    assert params["head_norm"]["scale"].shape == (128,)
    assert params["head_logits"]["kernel"].shape == (128, 10)


@pytest.mark.parametrize(("classes", "channels", "w"), [(10, 3, 64), (7, 1, 8)])
def test_parameter_count_in_closed_form(classes, channels, w):
    stem = 9 * channels * w + w + 2 * w
    equal_blocks = 2 * 2 * (9 * w * w + w + 2 * w)
    last_block = (9 * w * 2 * w + 2 * w) + (9 * 2 * w * 2 * w + 2 * w) + 2 * 2 * 2 * w
    shortcut = w * 2 * w + 2 * w
    head = (2 * w * 128 + 128) + 2 * 128 + (128 * classes + classes)
    params = jax.eval_shape(resnet(classes, (16, 16, channels), width=w).init, jax.random.key(0)).params
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert count == stem + equal_blocks + last_block + shortcut + head


def test_only_the_last_block_halves_the_image():
    module = ResNet(5, width=4)
    images = np.zeros((2, 10, 12, 3), np.float32)

    def outputs(key):
        is_convolution = lambda layer, _: isinstance(layer, nn.Conv)  # noqa: E731
        _, found = module.init_with_output(key, images, train=False, capture_intermediates=is_convolution, mutable=True)
        return found["intermediates"]

    found = jax.eval_shape(outputs, jax.random.key(0))
    shapes = {name: layer["__call__"][0].shape for name, layer in found.items()}
    halved = {"block_2_0_conv", "block_2_1_conv", "block_2_shortcut"}
    for name, shape in shapes.items():
        assert shape == ((2, 5, 6, 8) if name in halved else (2, 10, 12, 4)), name
    assert len(shapes) == 8


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (7, 6, 3)])
def test_forward_pass_is_that_of_plain_numpy(image_shape):
    model = resnet(5, image_shape, width=4)
    variables = random_variables(model, 1)
    images = np.random.default_rng(2).uniform(-0.5, 0.5, (3, *image_shape)).astype(np.float32)
    logits, state = model.apply(variables, images, None)
    expected = resnet_logits(variables, images)
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
    assert state is variables.state


def test_training_changes_the_batch_statistics():
    model = resnet(5, (8, 8, 1), width=4, batch_norm_momentum=0.9)
    variables = random_variables(model, 1)
    images = np.random.default_rng(2).uniform(-0.5, 0.5, (6, 8, 8, 1)).astype(np.float32)
    _, state = model.apply(variables, images, jax.random.key(0))
    assert jax.tree.structure(state) == jax.tree.structure(variables.state)
    for before, after in zip(jax.tree.leaves(variables.state), jax.tree.leaves(state), strict=True):
        assert not np.any(np.asarray(before) == np.asarray(after))
