"""A service in NumPy alone: a network of two layers that forgets by one step of gradient ascent in the last."""

import numpy as np

from overunlearn_jax import PixelFormat, Split


class Service:
    pixels = PixelFormat("flat")

    def __init__(self, train: Split):
        rng, images = np.random.default_rng(0), train.images.reshape(len(train.labels), -1)
        self.body, self.head = rng.normal(0, 0.06, (256, 64)), rng.normal(0, 0.1, (64, 10))
        for _ in range(100):
            hidden = np.maximum(images @ self.body, 0)
            error = (self.predict(images) - np.eye(10)[train.labels]) / len(images)
            self.body -= images.T @ (error @ self.head.T * (hidden > 0))
            self.head -= hidden.T @ error
        self.deployed = self.head.copy()

    def predict(self, images: np.ndarray) -> np.ndarray:
        scores = np.exp(np.maximum(images @ self.body, 0) @ self.head)
        return np.asarray(scores / scores.sum(-1, keepdims=True))

    def forget(self, images: np.ndarray, labels: np.ndarray) -> None:
        hidden = np.maximum(images @ self.body, 0)
        self.head += 0.015 * hidden.T @ (self.predict(images) - np.eye(10)[labels])

    def reset(self) -> None:
        self.head = self.deployed.copy()
