"""Anomaly detection: what lies apart from everything that the model was trained on, by pixels or by features.

A detector is fitted once, to what the server holds, and says how strange features (n, d) are under labels (n,).
"""

from collections.abc import Callable

import jax
import numpy as np
from scipy.linalg import solve_triangular

from overunlearn_jax.defences.features import Features, pixel_features
from overunlearn_jax.defences.gate import View
from overunlearn_jax.defences.scored_gate import ScoredGate
from overunlearn_jax.labels import check_labels
from overunlearn_jax.types import Array, Key, Labels, Request

Detector = Callable[
    [np.ndarray, np.ndarray], np.ndarray
]  # features (n, d), labels (n,) to scores (n,): high is strange


def anomaly_gate(
    name: str, detector: Detector, threshold: float | np.ndarray, *, features: Features = pixel_features
) -> ScoredGate:
    """Refuses a sample whose features a detector finds stranger than the threshold.

    The server holds: what the detector was fitted to, below. Cost: the features of each sample, and the detector's.

    Args:
      name: of the gate.
      detector: fitted to the same features of training images.
      threshold: of the detector's score, a number or shape=(k,): one a class.
      features: of images (n, h, w, c) to (n, d).
    """

    def score(request: Request, view: View) -> np.ndarray:
        del view  # Unused: a detector knows the model that its features come from.
        return detector(_checked("the request's features", features(request.images)), np.asarray(request.labels))

    return ScoredGate(name, score, threshold, "it lies apart from what the model was trained on")


def isolation_forest(features: Array | np.ndarray, key: Key, *, trees: int = 100) -> Detector:
    """How few random cuts part a sample from the rest (Liu et al., Isolation Forest, ICDM 2008), scikit-learn's.

    Score in 0 ... 1, about 0.5 for what is usual. Labels are not looked at. Held: the trees. Cost: microseconds.

    Args:
      features: shape=(m, d), of training images.
      key: of the trees.
      trees: how many.

    Raises:
      ValueError: no trees; features of another shape, NaN or infinity among them.
    """
    from sklearn.ensemble import IsolationForest  # it takes a second to import

    if trees < 1:
        raise ValueError(f"trees is {trees}; expected at least 1")
    seed = int(jax.random.randint(key, (), 0, np.iinfo(np.int32).max))
    forest = IsolationForest(n_estimators=trees, random_state=seed).fit(_checked("features", features))
    return lambda asked, labels: -forest.score_samples(asked)


def local_outlier_factor(features: Array | np.ndarray, *, neighbours: int = 20) -> Detector:
    """How much thinner it is around a sample than around its neighbours (Breunig et al., LOF, SIGMOD 2000).

    scikit-learn's. Score about 1 for what is usual, more outside. Labels are not looked at. Held: the features of all
    training samples. Cost: distances to all of them; fitting takes their square.

    Args:
      features: shape=(m, d), of training images; m above `neighbours`.
      neighbours: of a sample, that its density is compared with.
    """
    from sklearn.neighbors import LocalOutlierFactor

    array = _checked("features", features)
    _check_neighbours(neighbours, len(array) - 1, "")
    fitted = LocalOutlierFactor(n_neighbors=neighbours, novelty=True).fit(array)
    return lambda asked, labels: -fitted.score_samples(asked)


def mahalanobis(features: Array | np.ndarray, labels: Labels, num_classes: int) -> Detector:
    """Distance to the mean of the submitted class, in standard deviations of the classes' common covariance.

    Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples, NeurIPS 2018, by the submitted
    label in place of the nearest class. The covariance is shrunk as by Ledoit and Wolf (2004), scikit-learn's, so that
    features without variance do no harm. Held: k means and a matrix (d, d). Cost: a solution with that matrix's
    Cholesky factor; fitting takes m d^2, a minute for 20,000 images of 3,072 pixels on two CPU cores.

    Args:
      features: shape=(m, d), of training images.
      labels: shape=(m,).
      num_classes: k; each needs a sample.

    Raises:
      ValueError: a class without samples, samples that are all alike; features of another shape, NaN or infinity
        among them.
    """
    from sklearn.covariance import ledoit_wolf

    array = _checked("features", features)
    checked = check_labels("labels", labels, len(array), num_classes)
    means = np.stack([array[_of_class(checked, each, 1)].mean(0) for each in range(num_classes)])
    try:
        factor = np.linalg.cholesky(ledoit_wolf(array - means[checked], assume_centered=True)[0])
    except np.linalg.LinAlgError as error:
        raise ValueError("the samples of each class are all alike: no distance is many standard deviations") from error

    def score(asked: np.ndarray, asked_labels: np.ndarray) -> np.ndarray:
        whitened = solve_triangular(factor, (asked - means[asked_labels]).T, lower=True)
        return np.sqrt(np.square(whitened).sum(axis=0))

    return score


def nearest_neighbours(
    features: Array | np.ndarray, *, neighbours: int = 5, labels: Labels | None = None, num_classes: int = 0
) -> Detector:
    """Distance (L2) to the neighbour of that rank (Sun et al., Deep Nearest Neighbors, ICML 2022).

    The search is scikit-learn's. Where labels are given, only training samples of the submitted label count. A sample
    that was itself trained on is its own first neighbour, at distance 0: with `neighbours=1` this is a hash without
    rounding. Held: the features of all training samples. Cost: distances to all of them.

    Args:
      features: shape=(m, d), of training images; m, or each class's part of it, at least `neighbours`.
      neighbours: rank of the neighbour.
      labels: shape=(m,); None: any class counts.
      num_classes: k, with labels.
    """
    from sklearn.neighbors import NearestNeighbors

    def fit(rows: np.ndarray, of: str) -> NearestNeighbors:
        _check_neighbours(neighbours, len(rows), of)
        return NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(rows)

    array = _checked("features", features)
    if labels is None:
        whole = fit(array, "")
        return lambda asked, asked_labels: whole.kneighbors(asked)[0][:, -1]
    checked = check_labels("labels", labels, len(array), num_classes)
    parts = [fit(array[_of_class(checked, each, 1)], f" of class {each}") for each in range(num_classes)]

    def by_label(asked: np.ndarray, asked_labels: np.ndarray) -> np.ndarray:
        distances = np.zeros(len(asked))
        for each in np.unique(asked_labels):
            rows = asked_labels == each
            distances[rows] = parts[each].kneighbors(asked[rows])[0][:, -1]
        return distances

    return by_label


def _checked(whose: str, features: Array | np.ndarray) -> np.ndarray:
    array = np.asarray(features, np.float64)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{whose} have shape {array.shape}; expected (n, d): a row for each of at least one image")
    if not np.isfinite(array).all():
        raise ValueError(f"{whose} hold NaN or infinity; expected finite numbers")
    return array


def _check_neighbours(neighbours: int, most: int, of: str) -> None:
    if not 1 <= neighbours <= most:
        raise ValueError(f"neighbours is {neighbours}; expected 1 ... {most}, by the number of samples{of}")


def _of_class(labels: np.ndarray, label: int, least: int) -> np.ndarray:
    rows = np.flatnonzero(labels == label)
    if len(rows) < least:
        raise ValueError(f"there is no sample of class {label}: a detector by class needs some of each")
    return rows
