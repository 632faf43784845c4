"""How well a model predicts: overall, class by class, and what it predicts instead."""

from collections.abc import Mapping

import numpy as np

from overunlearn_jax.batching import predict_all_in_batches, predict_in_batches
from overunlearn_jax.types import Metrics, PredictFn, Split


def evaluate(predict: PredictFn, split: Split, num_classes: int) -> Metrics:
    """Metrics of a jittable model on a split.

    Raises ValueError where the model answers something else than finite numbers: its weights are broken.
    """
    metrics = evaluate_all({"the model": predict}, split, num_classes)["the model"]
    if metrics is None:
        raise ValueError("the model: probabilities are not finite: its weights diverged; a smaller step may help")
    return metrics


def evaluate_all(models: Mapping[str, PredictFn], split: Split, num_classes: int) -> dict[str, Metrics | None]:
    """Metrics of several versions of one model, such as those that unlearning with several rates gives.

    The layers in which they do not differ are computed once for all. A model that answers something else than finite
    numbers has None: its weights are broken, and the others' are not.
    """
    metrics: dict[str, Metrics | None] = {}
    for name, probabilities in zip(models, predict_all_in_batches([*models.values()], split.images), strict=True):
        finite = np.isfinite(probabilities).all()
        metrics[name] = (
            metrics_from_predictions(split.labels, probabilities.argmax(-1), num_classes) if finite else None
        )
    return metrics


def rightly_predicted(predict: PredictFn, split: Split, label: int) -> Split:
    """The samples of class `label` that a jittable model predicts as that class; may be none."""
    of_class = np.flatnonzero(split.labels == label)
    if len(of_class):
        of_class = of_class[predict_in_batches(predict, split.images[of_class]).argmax(-1) == label]
    return Split(*(array[of_class] for array in split))


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
