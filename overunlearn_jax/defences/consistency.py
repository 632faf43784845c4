"""Consistency: small noise or a new encoding changes a prediction near a decision boundary, not deep in a class."""

from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.defences.gate import View
from overunlearn_jax.defences.re_encoding import jpeg_encoded
from overunlearn_jax.defences.scored_gate import ScoredGate
from overunlearn_jax.types import DatasetSpec, Key, Request

Variants = Callable[[np.ndarray, DatasetSpec], Iterator[np.ndarray]]  # copies of all images, one after another
JPEG_QUALITIES = (95, 85, 75, 65, 55)


def noise_gate(key: Key, threshold: float | np.ndarray, *, deviation: float = 0.02, copies: int = 16) -> ScoredGate:
    """Refuses a sample where more than a share `threshold` of noisy copies is predicted otherwise than the sample.

    Score: that share, 0 ... 1, in steps of 1 / copies. The noise is Gaussian, clipped to the bounds, and the same for
    every sample, so that none is judged by its neighbours; it is as secret as the key.

    The server holds: the request. Cost: 1 + copies predictions for each sample, of as many images at a time as the
    request has, or 128. Source: Cao and Gong, Region-Based Classification, ACSAC 2017; Roth et al., The Odds are Odd,
    ICML 2019.

    Args:
      key: of the noise.
      threshold: of the share, a number or shape=(k,): one a class.
      deviation: of the noise in each pixel, as a part of the bounds' width.
      copies: at least 1.

    Raises:
      ValueError: a deviation below 0 or not finite, or no copies.
    """
    if not 0 <= deviation < np.inf or copies < 1:
        raise ValueError(f"deviation is {deviation} and copies {copies}; expected at least 0 and at least 1")

    def variants(images: np.ndarray, spec: DatasetSpec) -> Iterator[np.ndarray]:
        lower, upper = map(np.float32, spec.bounds)
        for copy_key in jax.random.split(key, copies):
            noise = np.asarray(jax.random.normal(copy_key, spec.image_shape)) * np.float32(deviation * (upper - lower))
            yield np.clip(images.astype(np.float32) + noise, lower, upper)

    return _consistency_gate("noise", variants, threshold, "the prediction changes under small noise")


def jpeg_gate(threshold: float | np.ndarray, *, qualities: Sequence[int] = JPEG_QUALITIES) -> ScoredGate:
    """Refuses a sample where more than a share `threshold` of JPEG copies is predicted otherwise than the sample.

    Score: that share, 0 ... 1, in steps of one quality. For images of 1 or 3 channels.

    The server holds: the request. Cost: a JPEG and a prediction for each sample and quality. Source: Xu et al., Feature
    Squeezing, NDSS 2018, with JPEG (Das et al., Shield, KDD 2018) as the squeezer.

    Args:
      threshold: of the share, a number or shape=(k,): one a class.
      qualities: of the copies.

    Raises:
      ValueError: no qualities, or one outside 1 ... 100.
    """
    if not qualities or not all(1 <= quality <= 100 for quality in qualities):
        raise ValueError(f"qualities are {tuple(qualities)}; expected at least one, each in 1 ... 100")

    def variants(images: np.ndarray, spec: DatasetSpec) -> Iterator[np.ndarray]:
        return (jpeg_encoded(images, spec.bounds, quality) for quality in qualities)

    return _consistency_gate("jpeg", variants, threshold, "the prediction changes when the image is stored as JPEG")


def _consistency_gate(name: str, variants: Variants, threshold: float | np.ndarray, why: str) -> ScoredGate:
    def score(request: Request, view: View) -> np.ndarray:
        images = np.asarray(request.images)
        predicted = predict_in_batches(view.predict, images).argmax(axis=1)
        changed = [
            predict_in_batches(view.predict, copy).argmax(axis=1) != predicted for copy in variants(images, view.spec)
        ]
        return np.mean(changed, axis=0)

    return ScoredGate(name, score, threshold, why)
