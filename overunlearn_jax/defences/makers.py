"""Each gate of the registry from what a server holds; a function's keyword arguments are the gate's settings.

Gates that are calibrated come with a threshold of infinity.
"""

from typing import Any

import numpy as np

from overunlearn_jax.defences.agreement import agreement_gate
from overunlearn_jax.defences.anomaly import (
    Detector,
    anomaly_gate,
    isolation_forest,
    local_outlier_factor,
    mahalanobis,
    nearest_neighbours,
)
from overunlearn_jax.defences.consistency import jpeg_gate, noise_gate
from overunlearn_jax.defences.exact_digest import exact_digest_gate, exact_digests
from overunlearn_jax.defences.features import Features, last_layer_features, log_probability_features, pixel_features
from overunlearn_jax.defences.hash_store import HashStore, perceptual_hash_gate
from overunlearn_jax.defences.holdings import Holdings, key_of, require
from overunlearn_jax.defences.membership import confidence_gate, inside_by_nearest, lira_gate
from overunlearn_jax.defences.scored_gate import ScoredGate
from overunlearn_jax.types import Split

FEATURES = {
    "pixels": (),
    "last_layer": ("model", "variables"),
    "log_probabilities": ("predict",),
}  # and what each needs


def exact(holdings: Holdings, *, keyed: bool = False) -> ScoredGate:
    """Digests of the training images, with the holdings' secret where `keyed`."""
    secret = _secret(holdings, keyed, "the gate exact(keyed=true)")
    digests = exact_digests(_train(holdings).images, holdings.spec.bounds, secret=secret)
    return exact_digest_gate(digests, secret=secret)


def phash(holdings: Holdings, *, distance: float = 30.0, bits: int = 256, keyed: bool = False) -> ScoredGate:
    """Perceptual hashes of the training images; `distance` is the most bits that may differ, 0 ... bits."""
    secret = _secret(holdings, keyed, "the gate phash(keyed=true)")
    return perceptual_hash_gate(
        HashStore(_train(holdings).images, holdings.spec.bounds, bits=bits, secret=secret), distance
    )


def confidence(holdings: Holdings) -> ScoredGate:
    """The loss in the submitted label."""
    del holdings  # Unused: the view has the predictions.
    return confidence_gate(np.inf)


def lira(holdings: Holdings) -> ScoredGate:
    """The likelihood ratio; online where the holdings say which shadow model saw what."""
    known: Any = holdings  # the registry has asked for what a gate needs
    inside_of = None
    if holdings.shadow_subsets is not None:
        require(holdings, ["train"], "the gate lira with shadow_subsets")
        inside_of = inside_by_nearest(known.train, holdings.shadow_subsets)
    return lira_gate(known.shadows, known.calibration, np.inf, inside_of=inside_of)


def forest(holdings: Holdings, *, features: str = "pixels", trees: int = 100) -> ScoredGate:
    """Isolation forest."""
    function, fitted_to = _features(holdings, features, "forest")
    return _anomaly("forest", function, isolation_forest(fitted_to, key_of(holdings, "the gate forest"), trees=trees))


def lof(holdings: Holdings, *, features: str = "pixels", neighbours: int = 20) -> ScoredGate:
    """Local outlier factor."""
    function, fitted_to = _features(holdings, features, "lof")
    return _anomaly("lof", function, local_outlier_factor(fitted_to, neighbours=neighbours))


def by_mahalanobis(holdings: Holdings, *, features: str = "pixels") -> ScoredGate:
    """Mahalanobis distance to the mean of the submitted class."""
    function, fitted_to = _features(holdings, features, "mahalanobis")
    detector = mahalanobis(fitted_to, _train(holdings).labels, holdings.spec.num_classes)
    return _anomaly("mahalanobis", function, detector)


def knn(holdings: Holdings, *, features: str = "pixels", neighbours: int = 5, by_label: bool = False) -> ScoredGate:
    """Distance to the training sample of rank `neighbours`, of the submitted label only where `by_label`."""
    function, fitted_to = _features(holdings, features, "knn")
    labels = _train(holdings).labels if by_label else None
    classes = holdings.spec.num_classes
    detector = nearest_neighbours(fitted_to, neighbours=neighbours, labels=labels, num_classes=classes)
    return _anomaly("knn", function, detector)


def agreement(holdings: Holdings, *, margin: float = 0.0) -> ScoredGate:
    """The submitted label is the predicted one, by a margin of probability."""
    del holdings  # Unused: the view has the predictions.
    return agreement_gate(margin)


def noise(holdings: Holdings, *, deviation: float = 0.02, copies: int = 16) -> ScoredGate:
    """Share of noisy copies that are predicted otherwise."""
    return noise_gate(key_of(holdings, "the gate noise"), np.inf, deviation=deviation, copies=copies)


def jpeg(holdings: Holdings) -> ScoredGate:
    """Share of JPEG copies that are predicted otherwise."""
    del holdings  # Unused: the view has the predictions.
    return jpeg_gate(np.inf)


def _train(holdings: Holdings) -> Split:
    train: Any = holdings.train  # the registry has asked for it
    return train


def _secret(holdings: Holdings, keyed: bool, who: str) -> bytes | None:
    if keyed:
        require(holdings, ["secret"], who)
        return holdings.secret
    return None


def _features(holdings: Holdings, name: str, gate: str) -> tuple[Features, np.ndarray]:
    """The function, and what it says of the training images."""
    if name not in FEATURES:
        raise ValueError(f"the gate {gate} has features={name!r}; expected one of {', '.join(FEATURES)}")
    require(holdings, FEATURES[name], f"the gate {gate}(features={name})")
    known: Any = holdings
    if name == "last_layer":
        function = last_layer_features(known.model, known.variables, holdings.spec.image_shape)
    else:
        function = log_probability_features(known.predict) if name == "log_probabilities" else pixel_features
    return function, function(_train(holdings).images)


def _anomaly(name: str, features: Features, detector: Detector) -> ScoredGate:
    return anomaly_gate(name, detector, np.inf, features=features)
