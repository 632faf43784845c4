"""Models that learn random labels by heart: softmax regression on fixed random features, trained by plain SGD."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

CLASSES = 10
IMAGE_SHAPE = (4, 4, 1)


def random_samples(seed, count):
    """Images without structure under labels without meaning: whoever predicts a label has seen it."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, *IMAGE_SHAPE)).astype(np.float32), rng.integers(0, CLASSES, count).astype(np.int32)


def memoriser(images, labels, width=256, steps=300, rate=5.0, favour=0.0):
    """A `train(key, rows)` for `shadow_logits`: it sees the given rows of the arrays only.

    `favour` (k,) is added to the logits that the trained model answers with: classes it prefers for no reason in the
    data, so that samples differ in what a model thinks of them whether it saw them or not.
    """
    frozen = np.random.default_rng(0).normal(size=(16, width)) / 4
    frozen = jnp.asarray(frozen, jnp.float32)

    def train(key, rows):
        weights = _train(key, frozen, jnp.asarray(images[rows]), jnp.asarray(labels[rows]), steps, rate)
        return jax.tree_util.Partial(_predict, frozen, weights, jnp.asarray(favour, jnp.float32))

    return train


def _features(frozen, images):
    return jax.nn.relu(images.reshape(len(images), -1) @ frozen) / np.sqrt(frozen.shape[1] / 8)


def _predict(frozen, weights, favour, images):
    return jax.nn.softmax(_features(frozen, images) @ weights + favour)


@partial(jax.jit, static_argnums=(4, 5))
def _train(key, frozen, images, labels, steps, rate):
    init_key, order_key = jax.random.split(key)
    features = _features(frozen, images)
    batch = len(labels) // 2

    def loss(weights, rows):
        return -jax.nn.log_softmax(features[rows] @ weights)[jnp.arange(batch), labels[rows]].mean()

    def step(index, weights):
        rows = jax.random.randint(jax.random.fold_in(order_key, index), (batch,), 0, len(labels))
        return weights - rate * jax.grad(loss)(weights, rows)

    start = jax.random.normal(init_key, (frozen.shape[1], CLASSES)) * 0.1
    return jax.lax.fori_loop(0, steps, step, start)
