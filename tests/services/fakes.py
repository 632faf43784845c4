"""Small services for tests: softmax regression in NumPy that forgets in place, and its many ways to go wrong."""

from contextlib import contextmanager

import numpy as np
import scipy.special

from overunlearn_jax.services.service import After, Deletion
from overunlearn_jax.types import Bounds, DatasetSpec, Split, Splits
from tests.unlearn.small_model import BOUNDS, CLASSES, IMAGE_SHAPE, request

SPEC = DatasetSpec("made up", IMAGE_SHAPE, Bounds(*BOUNDS), tuple("abcd"))


def splits(count: int = 80) -> Splits:
    """Random images, each class as often as it falls."""
    train, validation, test = (
        Split(*request(seed, size), np.arange(size)) for seed, size in ((1, count), (2, 20), (3, 40))
    )
    return Splits(SPEC, train, validation, test)


class InPlace:
    """predict / forget / reset of softmax regression; settings make it misbehave."""

    def __init__(self, *, noise: float = 0.0, forgets: bool = True, resets: bool = True):
        self.weights = np.random.default_rng(0).normal(size=(9, CLASSES))
        self._kept = self.weights.copy()
        self._noise, self._forgets, self._resets = noise, forgets, resets
        self._draws = np.random.default_rng(1)
        self.calls: list[str] = []

    def predict(self, images: np.ndarray) -> np.ndarray:
        logits = images.reshape(len(images), -1) @ self.weights
        logits = logits + self._noise * self._draws.normal(size=logits.shape)
        return scipy.special.softmax(logits, axis=-1).astype(np.float32)

    def forget(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.calls.append(f"forget {len(images)}")
        if self._forgets:
            flat = images.reshape(len(images), -1)
            self.weights += 0.1 * flat.T @ (self.predict(images) - np.eye(CLASSES)[labels])

    def reset(self) -> None:
        self.calls.append("reset")
        if self._resets:
            self.weights = self._kept.copy()


class InPlaceService:
    """The `Service` around it."""

    spec = SPEC

    def __init__(self, inner: InPlace):
        self.inner = inner
        self.predict = inner.predict

    @contextmanager
    def after(self, requests, key):
        del key  # Unused: it forgets without chance.
        for each in requests:
            self.inner.forget(np.asarray(each.images), np.asarray(each.labels))
        try:
            yield After(Deletion(0.0), self.inner.predict)
        finally:
            self.inner.reset()
