"""A tiny victim whose boundary is known: noisy patterns, and softmax regression trained to the end on them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import LogisticRegression

from overunlearn_jax.models import Model, pure_model
from overunlearn_jax.services.local import LocalService
from overunlearn_jax.types import Bounds, DatasetSpec, Request, Split, Splits, Variables
from overunlearn_jax.unlearn import first_order

SPEC = DatasetSpec("patterns", (4, 4, 1), Bounds(-0.5, 0.5), ("ant", "bee", "cat"))
KEY = jax.random.key(0)


def _split(seed: int, count: int) -> Split:
    draws = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    patterns = np.random.default_rng(0).uniform(-0.3, 0.3, (3, *SPEC.image_shape))
    images = np.clip(patterns[labels] + draws.normal(0, 0.25, (count, *SPEC.image_shape)), -0.5, 0.5)
    return Split(images.astype(np.float32), labels.astype(np.int32), np.arange(count))


DATA = Splits(SPEC, _split(1, 300), _split(2, 300), _split(3, 600))
MODEL: Model = pure_model(
    lambda key: {"kernel": jnp.zeros((16, 3)), "bias": jnp.zeros(3)},
    lambda params, images: images.reshape(len(images), -1) @ params["kernel"] + params["bias"],
)


@functools.cache
def trained() -> Variables:
    images, labels = DATA.train.images.reshape(-1, 16), DATA.train.labels
    found = LogisticRegression(C=1.0, max_iter=1000).fit(images, labels)
    return Variables(
        {"kernel": jnp.asarray(found.coef_.T, jnp.float32), "bias": jnp.asarray(found.intercept_, jnp.float32)}
    )


def service(tau: float = 0.02) -> LocalService:
    method = first_order(tau, bounds=SPEC.bounds, scope="all")
    return LocalService(SPEC, MODEL, trained(), method, train=DATA.train, gives_retained=False)


def honest(label: int, count: int, *, right: bool = True) -> Request:
    """Training samples of a class, rightly predicted ones where asked for, as an attacker chooses them."""
    rows = np.flatnonzero(DATA.train.labels == label)
    if right:
        rows = rows[np.asarray(service().predict(DATA.train.images[rows])).argmax(-1) == label]
    return Request(DATA.train.images[rows[:count]], DATA.train.labels[rows[:count]])


def pushed(request: Request) -> Request:
    """Each image moved straight to just inside its nearest boundary: of a linear model that is a closed form."""
    kernel, bias = (np.asarray(trained().params[name], np.float64) for name in ("kernel", "bias"))
    images = np.asarray(request.images, np.float64).reshape(len(request.labels), -1)
    logits, moved = images @ kernel + bias, []
    for image, own, label in zip(images, logits, request.labels, strict=True):
        steps = []
        for other in set(range(3)) - {int(label)}:
            normal = kernel[:, label] - kernel[:, other]
            steps.append(-(own[label] - own[other]) * normal / (normal @ normal))
        moved.append(image + 0.999 * min(steps, key=np.linalg.norm))
    inside = np.clip(np.asarray(moved, np.float32), *SPEC.bounds)
    return Request(inside.reshape(request.images.shape), request.labels)
