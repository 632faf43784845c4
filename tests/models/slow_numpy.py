"""VGG and ResNet written out in NumPy: a loop over the taps of every convolution, batch norm by its formula."""

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.types import Variables

EPSILON = 1e-3


def random_variables(model, seed):
    """Every leaf random, batch statistics and biases included: nothing is at a value that hides a mistake."""
    rng = np.random.default_rng(seed)
    variables = jax.eval_shape(model.init, jax.random.key(0))

    def draw(path, leaf):
        name = path[-1].key
        if name == "kernel":
            scale = 1 / np.sqrt(np.prod(leaf.shape[:-1]))
            return jnp.asarray(rng.normal(size=leaf.shape) * scale, leaf.dtype)
        low, high = {"var": (0.5, 2.0), "scale": (0.5, 1.5)}.get(name, (-0.5, 0.5))
        return jnp.asarray(rng.uniform(low, high, leaf.shape), leaf.dtype)

    return Variables(*(jax.tree_util.tree_map_with_path(draw, part) for part in variables))


def convolution(x, layer, stride=1):
    """A convolution that keeps the size (divided by the stride); the odd pixel of padding goes to the far side."""
    kernel, bias = np.asarray(layer["kernel"], np.float64), np.asarray(layer["bias"], np.float64)
    size = kernel.shape[0]
    rows, columns = (-(-side // stride) for side in x.shape[1:3])
    pads = [max((out - 1) * stride + size - side, 0) for out, side in zip((rows, columns), x.shape[1:3], strict=True)]
    padded = np.pad(x, [(0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)])
    result = np.zeros((len(x), rows, columns, kernel.shape[-1]))
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            window = padded[:, top : top + size, left : left + size]
            result[:, row, column] = np.einsum("nijc,ijcf->nf", window, kernel) + bias
    return result


def batch_norm(x, params, state, name):
    layer, statistics = params[name], state[name]
    mean, variance = np.asarray(statistics["mean"], np.float64), np.asarray(statistics["var"], np.float64)
    return (x - mean) / np.sqrt(variance + EPSILON) * np.asarray(layer["scale"]) + np.asarray(layer["bias"])


def max_pool(x):
    n, h, w, c = x.shape
    x = x[:, : h // 2 * 2, : w // 2 * 2]
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


def dense(x, layer):
    return x @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"])


def relu(x):
    return np.maximum(x, 0)


def head(x, params, state):
    x = batch_norm(relu(dense(x, params["head_dense"])), params, state, "head_norm")
    return dense(x, params["head_logits"])


def vgg_logits(variables, images, blocks):
    params, state = variables
    x = np.asarray(images, np.float64)
    for block in range(blocks):
        for layer in range(2):
            name = f"block_{block}_{layer}"
            x = batch_norm(relu(convolution(x, params[f"{name}_conv"])), params, state, f"{name}_norm")
        x = max_pool(x)
    return head(x.reshape(len(x), -1), params, state)


def resnet_logits(variables, images):
    params, state = variables
    x = convolution(np.asarray(images, np.float64), params["stem_conv"])
    x = relu(batch_norm(x, params, state, "stem_norm"))
    for block, stride in enumerate((1, 1, 2)):
        name = f"block_{block}"
        y = convolution(x, params[f"{name}_0_conv"], stride)
        y = relu(batch_norm(y, params, state, f"{name}_0_norm"))
        y = batch_norm(convolution(y, params[f"{name}_1_conv"]), params, state, f"{name}_1_norm")
        shortcut = convolution(x, params[f"{name}_shortcut"], stride) if stride == 2 else x
        x = relu(y + shortcut)
    return head(x.mean(axis=(1, 2)), params, state)
