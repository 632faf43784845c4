"""How well a model predicts: overall, class by class, and what it predicts instead."""

import numpy as np

from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.types import Metrics, PredictFn, Split


def evaluate(predict: PredictFn, split: Split, num_classes: int) -> Metrics:
    """Metrics of a jittable model on a split.

    Raises ValueError where the model answers something else than finite numbers: its weights are broken.
    """
    probabilities = predict_in_batches(predict, split.images)
    if not np.isfinite(probabilities).all():
        raise ValueError("the model's probabilities are not finite: its weights diverged; a smaller step may help")
    return metrics_from_predictions(split.labels, probabilities.argmax(-1), num_classes)


def metrics_from_predictions(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> Metrics:
    """Metrics of labels (n,) and predicted labels (n,). Raises ValueError for no labels or one out of range.

    >>> metrics_from_predictions(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).per_class.tolist()
    [0.5, 1.0]
    """
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f"expected labels in 0 ... {num_classes - 1}, at least one; got {labels}")
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    totals = counts.sum(1)
    per_class = np.where(totals > 0, counts.diagonal() / np.maximum(totals, 1), np.nan)
    return Metrics(float(counts.trace() / counts.sum()), per_class, counts)
