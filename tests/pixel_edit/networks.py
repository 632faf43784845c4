"""Small networks with random weights, one for each kind of layer that an edit may pass through."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.models import linen_model, predict_fn, resnet, vgg


class Sequence(nn.Module):
    """Layers one after the other, then the mean of each channel and a dense layer."""

    layers: tuple

    @nn.compact
    def __call__(self, images, train):
        x = images
        for layer in self.layers:
            x = layer(x)
        if x.ndim == 4:
            x = x.mean((1, 2))
        return nn.Dense(4)(x)


class Skip(nn.Module):
    """A residual block whose two ways have windows of different sizes."""

    strides: int = 1

    @nn.compact
    def __call__(self, x):
        y = nn.relu(nn.Conv(6, (3, 3), (self.strides, self.strides))(x))
        y = nn.Conv(6, (5, 5))(y)
        return nn.relu(y + nn.Conv(6, (1, 1), (self.strides, self.strides))(x))


class TwoWays(nn.Module):
    """Two branches of which neither window holds the other, multiplied."""

    @nn.compact
    def __call__(self, x):
        return nn.Conv(5, (5, 1))(x) * nn.sigmoid(nn.Conv(5, (1, 5))(x))


def conv(features=6, size=(3, 3), **settings):
    return nn.Conv(features, size, **settings)


def leaky(x):
    return jnp.where(x >= 0, x, 0.1 * x)


def divided_by_position(x):
    """Divides by what differs from pixel to pixel, and never is zero on the map."""
    return nn.relu(x) / (1 + jnp.arange(x.shape[1] * x.shape[2], dtype=jnp.float32).reshape(1, *x.shape[1:3], 1) / 50)


def masked_largest(x):
    """The largest of what is not masked away: minus infinity stands inside the map."""
    mask = (jnp.arange(x.shape[1]) % 3 > 0)[None, :, None, None]
    return jnp.where(jnp.broadcast_to(mask, x.shape), x, -jnp.inf).max((1, 2))


def gated_by_mean(x):
    """One value for all pixels, pooled from the map itself."""
    return x * nn.sigmoid(nn.avg_pool(x, x.shape[1:3]))


def centred_colours(x):
    """One channel less three."""
    return x[..., :1] - jnp.array([0.1, 0.2, 0.3])


def per_position(x):
    """Adds and multiplies what differs from pixel to pixel."""
    rows = jnp.arange(x.shape[1], dtype=jnp.float32)[None, :, None, None]
    columns = jnp.arange(x.shape[2], dtype=jnp.float32)[None, None, :, None]
    return jnp.tanh(x * (1 + rows) + jnp.broadcast_to(jnp.sin(rows + columns), x.shape))


NETWORKS = {
    "dilated": (conv(kernel_dilation=(2, 2)), nn.relu, conv()),
    "valid": (conv(padding="VALID"), nn.relu, conv(size=(2, 4), padding="VALID")),
    "uneven padding": (conv(padding=((2, 0), (0, 1))), nn.relu, conv()),
    "strided": (conv(strides=(2, 2)), nn.relu, conv(), nn.relu),
    "strided by three": (conv(strides=(3, 2)), nn.relu, conv()),
    "stride beyond the kernel": (conv(), nn.relu, conv(size=(1, 1), strides=(2, 3)), nn.relu),
    "grouped": (conv(), nn.relu, conv(feature_group_count=3), nn.relu),
    "two convolutions in a row": (conv(use_bias=False), conv(), conv()),
    "max pool": (conv(), lambda x: nn.max_pool(x, (2, 2), (2, 2)), conv(), nn.relu),
    "overlapping max pool": (conv(), lambda x: nn.max_pool(x, (3, 3), (2, 2), "SAME"), conv(), nn.relu),
    "sparse max pool": (conv(), lambda x: nn.max_pool(x, (2, 2), (3, 3)), conv(), nn.relu),
    "average pool": (conv(), nn.relu, lambda x: nn.avg_pool(x, (2, 2), (2, 2)), conv(), nn.relu),
    "padded average pool": (conv(), lambda x: nn.avg_pool(x, (3, 3), (1, 1), "SAME"), nn.relu),
    "smooth activations": (conv(), nn.gelu, conv(), nn.silu, conv(), nn.elu),
    "leaky": (conv(), leaky, conv(), jnp.abs, jnp.negative, conv(), jnp.square),
    "logarithm of what is zero beyond the edge": (conv(), lambda x: jnp.log(1 + nn.relu(x)), conv(), nn.softplus),
    "inverse": (conv(), lambda x: 1 / (1.5 + jnp.tanh(x)), conv(), nn.relu),
    "divided by position": (conv(), divided_by_position, conv(), nn.relu),
    "masked largest": (conv(), nn.relu, conv(), masked_largest),
    "gated by its mean": (conv(), gated_by_mean, conv(), nn.relu),
    "several heads": (conv(), nn.DenseGeneral((2, 3)), nn.relu, lambda x: x.sum(3), conv()),
    "centred colours": (centred_colours, conv(), nn.relu),
    "per position": (conv(), per_position, conv(), nn.relu),
    "dense on channels": (conv(), nn.relu, nn.Dense(5), nn.relu, conv()),
    "skip": (conv(), Skip(), Skip()),
    "strided skip": (conv(), Skip(2), nn.relu),
    "two ways": (conv(), TwoWays(), nn.relu),
    "batch norm": (conv(), nn.BatchNorm(use_running_average=True), nn.relu, conv()),
    "layer norm": (conv(), nn.LayerNorm(), nn.relu, conv()),
    "largest of each channel": (conv(), nn.relu, lambda x: x.max((1, 2))),
    "flattened": (conv(), nn.relu, lambda x: x.reshape(len(x), -1)),
    "no convolution": (lambda x: x.reshape(len(x), -1), nn.Dense(8), nn.tanh),
    "transposed": (lambda x: x.transpose(0, 2, 1, 3), conv(), nn.relu),
    "remembered for the gradient": (conv(), jax.checkpoint(nn.relu), conv()),
}


def network(layers, image_shape):
    """A victim of these layers."""
    model = linen_model(Sequence(layers), image_shape)
    return predict_fn(model, drawn(model))


PACKAGE = {
    "vgg": lambda shape: vgg(4, shape, blocks=3, width=8),
    "deep vgg": lambda shape: vgg(4, shape, blocks=4, width=4),
    "resnet": lambda shape: resnet(4, shape, width=6),
}


def package_victim(name, image_shape):
    """One of the package's own."""
    model = PACKAGE[name](image_shape)
    return predict_fn(model, drawn(model))


def drawn(model):
    """Weights and statistics of a model's form, drawn without compiling its `init`, which takes seconds.

    Matrices and kernels keep the size of what they multiply; scales and variances lie about 1, all else about 0.
    """
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        if len(leaf.shape) > 1:
            fan_in = np.prod(leaf.shape[:-1])
            return jnp.asarray(rng.normal(0, np.sqrt(2 / fan_in), leaf.shape), leaf.dtype)
        about = 1.0 if path[-1].key in ("scale", "var") else 0.0
        return jnp.asarray(about + rng.uniform(-0.3, 0.3, leaf.shape), leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, jax.eval_shape(model.init, jax.random.key(0)))
