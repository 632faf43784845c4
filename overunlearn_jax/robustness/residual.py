"""What a model still knows near the samples that it was to forget.

A model that is no better than a retrained one on a forgotten sample may be so on slightly changed copies of it (Hsu et
al., The Unseen Threat: Residual Knowledge in Machine Unlearning under Perturbed Samples, NeurIPS 2025).
"""

import jax
import numpy as np

from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.labels import check_labels
from overunlearn_jax.pixels import check_pixels
from overunlearn_jax.robustness._balls import check_ball, drawn
from overunlearn_jax.types import Bounds, Images, Key, Labels, PredictFn


def neighbourhood_shares(
    predict: PredictFn,
    images: Images,
    labels: Labels,
    radius: float,
    bounds: Bounds,
    key: Key,
    *,
    draws: int = 32,
    norm: str = "l2",
) -> np.ndarray:
    """For each image the share of `draws` points around it, uniform in a ball, that are predicted as its label.

    The same key gives the same points, so that models can be compared on them. Points outside the bounds are cut to
    them.

    Args:
      predict: of the model.
      images: shape=(n, h, w, c), floats inside the bounds.
      labels: shape=(n,).
      radius: of the ball.
      bounds: of the pixels.
      key: of the points.
      draws: points around each image.
      norm: as in `pgd`.

    Returns:
      shape=(n,), dtype=float64, fractions.

    Raises:
      ValueError: less than one draw; otherwise as `pgd`.
    """
    check_ball(norm, radius)
    if draws < 1:
        raise ValueError(f"draws are {draws}; expected at least 1")
    array = check_pixels("images", images, bounds).astype(np.float32, copy=False)
    right = np.zeros(len(array))
    for number in range(draws):
        keys = jax.random.split(jax.random.fold_in(key, number), len(array))
        points = np.clip(array + np.asarray(drawn(keys, array.shape[1:], norm, radius)), *bounds)
        answers = predict_in_batches(predict, points)
        own = check_labels("labels", labels, len(array), answers.shape[-1])
        right += answers.argmax(-1) == own
    return right / draws


def residual_knowledge(unlearned: np.ndarray, reference: np.ndarray) -> float:
    """How much more often the unlearned model is right near forgotten samples than the reference: a ratio.

    Both are what `neighbourhood_shares` gives, with one key; the reference is a retrained model, or the one that an
    honest request leaves. 1: the same; above: something is left of them; below: they are avoided, which shows as well.
    The ratio is of the means over samples. NaN where the reference is never right.

    Args:
      unlearned: shape=(n,), fractions.
      reference: shape=(n,), fractions.

    Raises:
      ValueError: other shapes, or no samples.

    >>> residual_knowledge(np.array([0.5, 1.0]), np.array([0.5, 0.5]))
    1.5
    """
    if np.shape(unlearned) != np.shape(reference) or np.size(unlearned) == 0:
        raise ValueError(
            f"shares have shapes {np.shape(unlearned)} and {np.shape(reference)}; expected one for each sample of both"
        )
    mean = float(np.mean(reference))
    return float(np.mean(unlearned)) / mean if mean else float("nan")
