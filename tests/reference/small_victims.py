"""Tiny victims with fixed random weights: every answer can be worked out, and differentiated, by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.types import Bounds, DatasetSpec

SMALL = (6, 6, 1)
COLOURED = (4, 4, 3)
CENTRED = Bounds(-0.5, 0.5)


def small_spec(image_shape=SMALL, num_classes=3, bounds=CENTRED):
    """What is true of the images that a small victim sees."""
    return DatasetSpec("small", image_shape, bounds, tuple("abcdefgh"[:num_classes]))


def linear_softmax(seed, spec, scale=1.0):
    """softmax(x W): between two classes, the log margin is linear in the image."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(int(np.prod(spec.image_shape)), spec.num_classes)) * scale
    return jax.tree_util.Partial(_linear_softmax, jnp.asarray(weights, jnp.float32))


def tanh_net(seed, spec, hidden=8):
    """A smooth net of two layers: tanh, then softmax."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(spec.image_shape))
    first = rng.normal(size=(size, hidden)) / np.sqrt(size) * 3
    second = rng.normal(size=(hidden, spec.num_classes)) * 1.5
    return jax.tree_util.Partial(_tanh_net, jnp.asarray(first, jnp.float32), jnp.asarray(second, jnp.float32))


def flat(spec):
    """Every class equally likely, whatever the image."""
    return jax.tree_util.Partial(_flat, jnp.full(spec.num_classes, 1 / spec.num_classes))


def one_by_one(predict):
    """The same victim, one image at a time: its answers cannot depend on the size of the batch, not by one bit."""
    return jax.tree_util.Partial(_one_by_one, predict)


def random_images(seed, count, spec):
    """Uniform images inside the bounds."""
    rng = np.random.default_rng(seed)
    return rng.uniform(*spec.bounds, size=(count, *spec.image_shape)).astype(np.float32)


def predicted(predict, images):
    """The label that the victim gives each image."""
    return np.array(jnp.argmax(predict(jnp.asarray(images)), -1), np.int32)


class Counting:
    """A victim that only Python can call, and that keeps every batch it was sent."""

    def __init__(self, predict):
        self.predict = predict
        self.batches = []

    def __call__(self, images):
        self.batches.append(np.array(images))
        return np.asarray(_answer(self.predict, images))

    @property
    def received(self):
        return sum(len(batch) for batch in self.batches)


@jax.jit
def _answer(predict, images):
    return predict(images)


def _linear_softmax(weights, images):
    return jax.nn.softmax(images.reshape(len(images), -1) @ weights)


def _tanh_net(first, second, images):
    return jax.nn.softmax(jnp.tanh(images.reshape(len(images), -1) @ first) @ second)


def _flat(probabilities, images):
    return jnp.broadcast_to(probabilities, (len(images), len(probabilities)))


def _one_by_one(predict, images):
    return jax.lax.map(lambda image: predict(image[None])[0], images)
