"""KLOM, the Kullback-Leibler divergence of margins, sample by sample: are unlearned models like retrained ones?

Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching" (2024), appendix E.1. A margin is the
logit of the true label minus the log-sum-exp of the others, which is `true_label_confidence`. Where `js_distance`
compares two models' answers, this compares what two *trainings* may answer: retrained models differ from one another,
too.
"""

import numpy as np
from scipy.special import rel_entr

from overunlearn_jax.types import Array

BINS, LARGEST, LEAST = 20, 100.0, 1e-5  # of the published histograms: bins, clipping, probability of an empty bin
LEAST_OF_FEW = 2  # models of each kind: one alone has no spread


def klom(margins: Array | np.ndarray, unlearned: np.ndarray) -> np.ndarray:
    """KL(unlearned || retrained) of each sample's margins, in nats, by histograms of 20 bins as published.

    It takes many models, about a hundred of each kind: with few, most bins are empty, and two sets of retrained models
    lie as far apart as any. See `klom_of_few` for these.

    Args:
      margins: shape=(s, n), of each model on each sample.
      unlearned: shape=(s, n), dtype=bool: which model unlearned which sample; the others never saw it.

    Returns:
      shape=(n,), dtype=float64. 0: no difference.

    Raises:
      ValueError: for shapes that do not fit, values that are not finite, and a sample with no model of one kind.

    Examples:
      >>> klom(np.array([[1.0], [2.0], [1.0], [2.0]]), np.array([[True], [True], [False], [False]])).tolist()
      [0.0]
    """
    values, kinds = _checked(margins, unlearned, 1)
    values = values.clip(-LARGEST, LARGEST)
    found = []
    for column, kind in zip(values.T, kinds.T, strict=True):
        edges = np.histogram_bin_edges(column, BINS)
        parts = [np.histogram(column[which], edges)[0] / which.sum() for which in (kind, ~kind)]
        found.append(rel_entr(parts[0], np.maximum(parts[1], LEAST)).sum())
    return np.array(found)


def klom_of_few(margins: Array | np.ndarray, unlearned: np.ndarray) -> np.ndarray:
    """The same divergence between Gaussians of one variance, which few models are enough for; its mean is unbiased.

    The variance is that of the deviations from each sample's two means, over all samples. What two sets of such models
    would differ by from chance is taken off, so that a sample's value may lie below 0: report the mean over samples.

    Args:
      margins: shape=(s, n), of each model on each sample.
      unlearned: shape=(s, n), dtype=bool: which model unlearned which sample; the others never saw it.

    Returns:
      shape=(n,), dtype=float64, in nats.

    Raises:
      ValueError: as `klom` does, for a sample with fewer than 2 models of one kind, and for models that all answer
        alike.

    Examples:
      >>> few = np.array([[3.0], [5.0], [-1.0], [1.0]])  # 4 and 0 on average, both of variance 2
      >>> klom_of_few(few, np.array([[True], [True], [False], [False]])).tolist()
      [3.5]
    """
    values, kinds = _checked(margins, unlearned, LEAST_OF_FEW)
    counts = [kind.sum(0) for kind in (kinds, ~kinds)]
    means = [values.sum(0, where=kind) / count for kind, count in zip((kinds, ~kinds), counts, strict=True)]
    squares = ((values - np.where(kinds, *means)) ** 2).sum()
    variance = squares / (values.size - 2 * values.shape[1])
    if variance <= np.finfo(np.float32).eps ** 2:
        raise ValueError("the models all answer alike: there is no spread to compare with; give each its own key")
    by_chance = sum(1 / count for count in counts)
    return np.asarray(((means[0] - means[1]) ** 2 / variance - by_chance) / 2)


def _checked(margins: Array | np.ndarray, unlearned: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    values, kinds = np.asarray(margins, np.float64), np.asarray(unlearned)
    if values.ndim != 2 or values.size == 0 or kinds.shape != values.shape or kinds.dtype != bool:
        raise ValueError(
            f"margins have shape {values.shape} and unlearned is {kinds.dtype} of shape {kinds.shape}; expected (s, n) "
            "for both, a row for each model and a column for each sample, and bool"
        )
    if not np.isfinite(values).all():
        raise ValueError("margins hold NaN or infinity; `true_label_confidence` gives finite ones")
    fewest = np.minimum(kinds.sum(0), (~kinds).sum(0))
    if fewest.min() < least:
        raise ValueError(
            f"of one kind, sample {fewest.argmin()} has {fewest.min()} models; expected at least {least} that "
            "unlearned it and as many that never saw it"
        )
    return values, kinds
