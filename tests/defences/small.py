"""Digits, and a softmax regression that knows them: small enough for tests of gates."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.data import load
from overunlearn_jax.defences.gate import View
from overunlearn_jax.models import predict_fn, pure_model
from overunlearn_jax.types import Request, Variables

MODEL = pure_model(lambda key: jnp.zeros((257, 10)), lambda w, x: x.reshape(len(x), -1) @ w[:-1] + w[-1])


@lru_cache
def digits():
    return load("digits", seed=0)


@lru_cache
def variables():
    from sklearn.linear_model import LogisticRegression

    train = digits().train
    fitted = LogisticRegression(C=1.0, max_iter=300).fit(train.images.reshape(len(train.labels), -1), train.labels)
    return Variables(jnp.asarray(np.vstack([fitted.coef_.T, fitted.intercept_]), jnp.float32))


def predict():
    return predict_fn(MODEL, variables())


def view():
    return View(digits().spec, predict())


def request(count=40, start=0):
    rows = slice(start, start + count)
    return Request(digits().train.images[rows], digits().train.labels[rows])


def on_the_boundary(asked):
    """Each image moved towards another class, inside the bounds, 98 % of the way to where it is predicted."""
    w = np.asarray(variables().params, np.float64)
    logits = asked.images.reshape(len(asked.labels), -1) @ w[:-1] + w[-1]
    logits[np.arange(len(logits)), asked.labels] = -np.inf
    directions = (w[:-1, logits.argmax(1)] - w[:-1, asked.labels]).T.reshape(asked.images.shape)
    inside, outside = np.zeros(len(logits)), np.full(len(logits), 100.0)
    for _ in range(40):
        middle = (inside + outside) / 2
        moved = np.clip(asked.images + middle[:, None, None, None] * directions, -0.5, 0.5).astype(np.float32)
        right = probabilities(moved).argmax(1) == asked.labels
        inside, outside = np.where(right, middle, inside), np.where(right, outside, middle)
    moved = np.clip(asked.images + 0.98 * inside[:, None, None, None] * directions, -0.5, 0.5).astype(np.float32)
    return Request(moved, asked.labels)


def probabilities(images):
    """Softmax regression in NumPy."""
    w = np.asarray(variables().params, np.float64)
    logits = np.asarray(images, np.float64).reshape(len(images), -1) @ w[:-1] + w[-1]
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


KEY = jax.random.key(5)
