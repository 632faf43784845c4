"""One small network with dropout and batch norm, written for nnx and for Equinox as their own users write it."""

import jax
from flax import nnx

from overunlearn_jax.models import Model, equinox_model, nnx_model
from overunlearn_jax.types import Variables

CLASSES = 3


class NnxNet(nnx.Module):
    """For images (n, 8, 8, 1)."""

    def __init__(self, rngs: nnx.Rngs, features: int = 4):
        self.body = nnx.Sequential(
            nnx.Conv(1, features, (3, 3), rngs=rngs), nnx.BatchNorm(features, momentum=0.9, rngs=rngs), nnx.relu
        )
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.classifier = nnx.Linear(features * 64, CLASSES, rngs=rngs)

    def __call__(self, images):
        x = self.body(images)
        return self.classifier(self.dropout(x.reshape(len(x), -1)))


def nnx_net(seed: int = 0) -> tuple[Model, Variables]:
    return nnx_model(NnxNet(nnx.Rngs(seed)), make=NnxNet)


def make_equinox_net(key, features: int = 4):
    """(module, state) for an image (1, 8, 8); imports Equinox."""
    import equinox as eqx

    class Net(eqx.Module):
        conv: eqx.nn.Conv2d
        norm: eqx.nn.BatchNorm
        dropout: eqx.nn.Dropout
        classifier: eqx.nn.Linear

        def __init__(self, key):
            first, second = jax.random.split(key)
            self.conv = eqx.nn.Conv2d(1, features, 3, padding=1, key=first)
            self.norm = eqx.nn.BatchNorm(features, axis_name="batch", momentum=0.9, mode="batch")
            self.dropout = eqx.nn.Dropout(0.2)
            self.classifier = eqx.nn.Linear(features * 64, CLASSES, key=second)

        def __call__(self, image, state, *, key=None):
            x, state = self.norm(self.conv(image), state)
            return self.classifier(self.dropout(jax.nn.relu(x).ravel(), key=key)), state

    return eqx.nn.make_with_state(Net)(key)


def equinox_net(seed: int = 0) -> tuple[Model, Variables]:
    return equinox_model(*make_equinox_net(jax.random.key(seed)), make=make_equinox_net)
