"""The VGG of the paper: its layers, its size, its forward pass against plain NumPy, and what training mode changes."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.models import vgg
from overunlearn_jax.models._vgg import VGG
from overunlearn_jax.types import Variables
from overunlearn_jax.unlearn import parameter_paths
from tests.models.slow_numpy import convolution, random_variables, relu, vgg_logits


def _shapes(tree):
    return dict(zip(parameter_paths(tree), [leaf.shape for leaf in jax.tree.leaves(tree)], strict=True))


def _images(seed, count, shape):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (count, *shape)).astype(np.float32)


@pytest.mark.parametrize("blocks", [3, 4, 5])
def test_layers_of_the_paper(blocks):
    variables = jax.eval_shape(vgg(10, (32, 32, 3), blocks=blocks).init, jax.random.key(0))
    side = 32 // 2**blocks
    norms = [f"block_{block}_{layer}_norm" for block in range(blocks) for layer in range(2)]
    expected = {
        "head_dense/kernel": (side * side * 128, 512),
        "head_dense/bias": (512,),
        "head_norm/scale": (512,),
        "head_norm/bias": (512,),
        "head_logits/kernel": (512, 10),
        "head_logits/bias": (10,),
    }
    for name in norms:
        expected |= {f"{name}/scale": (128,), f"{name}/bias": (128,)}
        convolution_name = name.replace("norm", "conv")
        inputs = 3 if name == "block_0_0_norm" else 128
        expected |= {f"{convolution_name}/kernel": (3, 3, inputs, 128), f"{convolution_name}/bias": (128,)}
    assert _shapes(variables.params) == expected
    statistics = {f"{name}/{kind}": (128,) for name in norms for kind in ("mean", "var")}
    assert _shapes(variables.state) == statistics | {"head_norm/mean": (512,), "head_norm/var": (512,)}


@pytest.mark.parametrize("blocks", [3, 4, 5])
@pytest.mark.parametrize(("classes", "image_shape"), [(10, (32, 32, 3)), (7, (96, 96, 3)), (4, (32, 40, 1))])
def test_parameter_count_in_closed_form(blocks, classes, image_shape):
    w, (height, width, channels) = 128, image_shape
    convolutions = 9 * channels * w + (2 * blocks - 1) * 9 * w * w + 2 * blocks * w
    norms = 2 * blocks * 2 * w
    flat = (height // 2**blocks) * (width // 2**blocks) * w
    head = (flat * 512 + 512) + 2 * 512 + (512 * classes + classes)
    params = jax.eval_shape(vgg(classes, image_shape, blocks=blocks).init, jax.random.key(0)).params
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == convolutions + norms + head


@pytest.mark.parametrize("image_shape", [(96, 96, 3), (16, 16, 1), (8, 8, 1)])
def test_images_of_other_sizes(image_shape):
    model = vgg(5, image_shape, blocks=3, width=4)
    images = _images(0, 2, image_shape)
    logits, _ = jax.jit(model.apply)(random_variables(model, 0), images, None)
    assert logits.shape == (2, 5)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize(
    ("blocks", "image_shape"), [(4, (8, 8, 1)), (3, (32, 7, 3)), (6, (32, 32, 3)), (2**31 - 1, (32, 32, 3))]
)
def test_more_pools_than_pixels_is_refused(blocks, image_shape):
    message = (
        rf"{blocks} blocks.*{image_shape[0]}x{image_shape[1]}.* halved {int(math.log2(min(image_shape[:2])))} times"
    )
    with pytest.raises(ValueError, match=message):
        vgg(10, image_shape, blocks=blocks)


@pytest.mark.parametrize(("blocks", "image_shape"), [(2, (8, 8, 1)), (3, (12, 9, 3))])
def test_forward_pass_is_that_of_plain_numpy(blocks, image_shape):
    model = vgg(5, image_shape, blocks=blocks, width=4)
    variables, images = random_variables(model, 1), _images(2, 3, image_shape)
    logits, state = model.apply(variables, images, None)
    expected = vgg_logits(variables, images, blocks)
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
    assert state is variables.state


def test_convolutions_start_he_uniform():
    params = jax.jit(vgg(10, (8, 8, 1), blocks=1, width=16).init)(jax.random.key(3)).params
    for name, fan_in in (("block_0_1_conv", 9 * 16), ("head_dense", 16 * 16)):
        kernel, limit = np.asarray(params[name]["kernel"]), np.sqrt(6 / fan_in)
        assert 0.97 * limit < abs(kernel).max() <= limit
        assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)
        assert not np.any(params[name]["bias"])


def test_dropout_only_in_training():
    model = vgg(5, (8, 8, 1), blocks=1, width=4)
    variables, images = random_variables(model, 1), _images(2, 8, (8, 8, 1))
    (first, state_1), (again, _), (other, state_2) = (
        jax.jit(model.apply)(variables, images, jax.random.key(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    # the first block's statistics come before any dropout, the head's after it
    np.testing.assert_array_equal(state_1["block_0_0_norm"]["mean"], state_2["block_0_0_norm"]["mean"])
    assert not np.allclose(state_1["head_norm"]["mean"], state_2["head_norm"]["mean"])
    np.testing.assert_array_equal(model.apply(variables, images, None)[0], model.apply(variables, images, None)[0])


def test_dropout_rates_of_the_blocks():
    module = VGG(5, blocks=4, width=8)
    images = _images(4, 256, (16, 16, 1))
    variables = random_variables(vgg(5, (16, 16, 1), blocks=4, width=8), 5)

    @jax.jit
    def training_pass(key):
        return module.apply(
            {"params": variables.params, "batch_stats": variables.state},
            images,
            train=True,
            rngs={"dropout": key},
            capture_intermediates=lambda layer, _: isinstance(layer, nn.Dropout),
            mutable=["intermediates", "batch_stats"],
        )

    _, found = training_pass(jax.random.key(6))
    outputs = [found["intermediates"][f"Dropout_{block}"]["__call__"][0] for block in range(4)]
    dropped = [float(jnp.mean(output == 0)) for output in outputs]
    # of 2,048 units and more: a standard error of at most 0.009
    np.testing.assert_allclose(dropped, [0.1, 0.1, 0.2, 0.2], atol=0.035)


@pytest.mark.parametrize("momentum", [0.99, 0.9])
def test_training_moves_the_batch_statistics_by_one_minus_the_momentum(momentum):
    model = vgg(5, (8, 8, 1), blocks=1, width=4, batch_norm_momentum=momentum)
    variables, images = random_variables(model, 1), _images(2, 6, (8, 8, 1))
    _, state = jax.jit(model.apply)(variables, images, jax.random.key(0))
    assert jax.tree.structure(state) == jax.tree.structure(variables.state)
    activations = relu(convolution(images.astype(np.float64), variables.params["block_0_0_conv"]))
    for kind, value in (("mean", activations.mean((0, 1, 2))), ("var", activations.var((0, 1, 2)))):
        before = np.asarray(variables.state["block_0_0_norm"][kind])
        expected = momentum * before + (1 - momentum) * value
        np.testing.assert_allclose(state["block_0_0_norm"][kind], expected, rtol=1e-5, atol=1e-6)


def test_training_normalises_by_the_batch():
    # the logits of a training pass do not depend on the stored statistics
    model = vgg(5, (8, 8, 1), blocks=1, width=4)
    variables, images = random_variables(model, 1), _images(2, 6, (8, 8, 1))
    doubled = Variables(variables.params, jax.tree.map(lambda leaf: 2 * leaf, variables.state))
    key, apply = jax.random.key(0), jax.jit(model.apply)
    np.testing.assert_array_equal(apply(variables, images, key)[0], apply(doubled, images, key)[0])
    assert not np.allclose(apply(variables, images, None)[0], apply(doubled, images, None)[0])
