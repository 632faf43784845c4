"""Shadow models for LiRA: who is trained on what, and what each answers. How to train is the caller's."""

from collections.abc import Callable

import jax
import numpy as np

from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.forgetting._membership import true_label_confidence
from overunlearn_jax.types import Images, Key, Labels, PredictFn


def shadow_subsets(key: Key, count: int, shadows: int) -> np.ndarray:
    """Which of `count` samples each shadow model is trained on: random, every sample in exactly half of the models.

    Models 2i and 2i + 1 share the samples out between them. So all subsets have count / 2 samples (where count is odd,
    one sample more in every second), and a jitted training step is traced once.

    Returns:
      shape=(shadows, count), dtype=bool: True where the model is trained on the sample.

    Raises:
      ValueError: for fewer than 2 samples, or a number of shadow models that is odd or below 2.

    Examples:
      >>> shadow_subsets(jax.random.key(0), 10, 4).sum(0).tolist()
      [2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    """
    if count < 2:
        raise ValueError(f"count is {count}; half of at least 2 samples is needed to train a shadow model")
    if shadows < 2 or shadows % 2:
        raise ValueError(f"shadows is {shadows}; expected an even number: each sample goes into half of the models")
    ranks = jax.vmap(lambda pair_key: jax.random.permutation(pair_key, count))(jax.random.split(key, shadows // 2))
    first = np.asarray(ranks) < count // 2
    return np.stack([first, ~first], axis=1).reshape(shadows, count)


def shadow_logits(
    train: Callable[[Key, np.ndarray], PredictFn], key: Key, subsets: np.ndarray, images: Images, labels: Labels
) -> np.ndarray:
    """Trains the shadow models one after another and asks each about every sample.

    Args:
      train: `train(key, rows)` trains a model as the target was trained, on `images[rows]` and `labels[rows]` only
        (rows: increasing int64), and returns it as a jittable victim, as `predict_fn` does.
      key: split into one key a shadow model.
      subsets: shape=(s, n), dtype=bool, from `shadow_subsets`.
      images: shape=(n, h, w, c).
      labels: shape=(n,), integers.

    Returns:
      shape=(s, n), dtype=float64: `true_label_confidence` of every model on every sample.

    Raises:
      ValueError: if the subsets are not boolean or do not fit the images, or as `true_label_confidence` does.
    """
    subsets = np.asarray(subsets)
    if subsets.dtype != bool or subsets.ndim != 2 or len(subsets) == 0 or subsets.shape[1] != len(images):
        raise ValueError(
            f"subsets are {subsets.dtype} of shape {subsets.shape}; expected bool (shadows, {len(images)}), "
            "a column for each image"
        )
    logits = []
    for model_key, subset in zip(jax.random.split(key, len(subsets)), subsets, strict=True):
        predict = train(model_key, np.flatnonzero(subset))
        logits.append(true_label_confidence(predict_in_batches(predict, images), labels))
    return np.stack(logits)
