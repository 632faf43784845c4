"""A small model with a body, a head, statistics and, if asked, dropout; and softmax regression."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.models import Model, pure_model
from overunlearn_jax.types import Bounds, Variables

BOUNDS = Bounds(-0.5, 0.5)
IMAGE_SHAPE = (3, 3, 1)
CLASSES = 4


def small_model(dropout=0.0, traces=None):
    """9 pixels -> 6 tanh units -> divided by a tracked mean square -> 4 logits. Each trace appends to `traces`."""

    def init(key):
        del key  # Unused: the weights are fixed.
        params = {
            "body": {"kernel": _normal(0, (9, 6))},
            "head_logits": {"bias": _normal(1, (CLASSES,)), "kernel": _normal(2, (6, CLASSES))},
        }
        return Variables(params, {"mean_square": jnp.asarray(np.linspace(0.3, 0.8, 6), jnp.float32)})

    def apply(variables, images, key):
        if traces is not None:
            traces.append(images.shape)
        params, state = variables
        x = jnp.tanh(images.reshape(len(images), -1) @ params["body"]["kernel"])
        if key is not None:
            state = {"mean_square": 0.9 * state["mean_square"] + 0.1 * jnp.mean(x**2, axis=0)}
            x = jnp.where(jax.random.bernoulli(key, 1 - dropout, x.shape), x / (1 - dropout), 0)
        x = x / jnp.sqrt(variables.state["mean_square"])
        return x @ params["head_logits"]["kernel"] + params["head_logits"]["bias"], state

    return Model(init, apply)


def softmax_regression():
    """Logits linear in the pixels: the gradient is x^T (p - y)."""
    return pure_model(
        lambda key: {"kernel": _normal(3, (9, CLASSES))},
        lambda params, images: images.reshape(len(images), -1) @ params["kernel"],
    )


def request(seed, count):
    """Random images inside the bounds, and random labels."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(*BOUNDS, (count, *IMAGE_SHAPE)).astype(np.float32)
    return images, rng.integers(0, CLASSES, count).astype(np.int32)


@partial(jax.jit, static_argnums=0)
def cross_entropy(model, variables, images, labels):
    """The loss of each sample (n,)."""
    logits, _ = model.apply(variables, images, None)
    return -jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels]


def assert_same_tree(actual, expected, atol=0.0):
    """Equal structure, shapes and dtypes, equal leaves (bit for bit unless `atol` is given)."""
    chex.assert_trees_all_close(actual, expected, rtol=atol, atol=atol, strict=True)


def _normal(seed, shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)
