"""How well a model predicts: overall, class by class, and what it predicts instead."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from overunlearn_jax.batching import predict_all_in_batches, predict_in_batches
from overunlearn_jax.black_box import check_answer
from overunlearn_jax.labels import check_labels
from overunlearn_jax.pixels import check_pixels
from overunlearn_jax.types import Bounds, Metrics, PredictFn, Split


def evaluate(
    predict: PredictFn | Callable[[np.ndarray], Any],
    split: Split,
    num_classes: int,
    *,
    bounds: Bounds | None = None,
    batch_size: int = 128,
) -> Metrics:
    """Metrics of a model on a split.

    Args:
      predict: images (n, h, w, c), float32, to probabilities (n, k): whatever `BlackBox` takes. A
        `jax.tree_util.Partial`, as `predict_fn` makes one, is jitted. Any other callable, of scikit-learn or PyTorch,
        is called from Python with NumPy arrays; these are copies, and so is what is kept of its answer.
      split: at least one image with its label.
      num_classes: k.
      bounds: of the pixels, such as `data.spec.bounds`; None: they are not checked.
      batch_size: images in a call, at most.

    Raises:
      ValueError: 8-bit or other integer images, NaN, or pixels outside the bounds; labels that are no class numbers;
        probabilities that are not finite, since the weights are broken.
      BadAnswerError: a ValueError, for other answers that are no probabilities, one for each class.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least one image in a call")
    if len(split.labels) == 0:
        raise ValueError("the split is empty: there is nothing to evaluate on")
    images = check_pixels("images", split.images, bounds).astype(np.float32, copy=False)
    labels = check_labels("labels", split.labels, len(images), num_classes)
    predicted = _checked(predict_in_batches(predict, images, batch_size), len(images), num_classes).argmax(-1)
    return metrics_from_predictions(labels, predicted, num_classes)


def _checked(answer: np.ndarray, count: int, num_classes: int) -> np.ndarray:
    if answer.dtype.kind == "f" and not np.isfinite(answer).all():
        raise ValueError("the model: probabilities are not finite: its weights diverged; a smaller step may help")
    return check_answer(answer, count, num_classes)


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
    """Metrics of what was predicted.

    Args:
      labels: shape=(n,), integers in 0 ... k - 1.
      predicted: shape=(n,), integers in 0 ... k - 1.
      num_classes: k.

    Raises:
      ValueError: no labels, or one out of range.

    Examples:
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
