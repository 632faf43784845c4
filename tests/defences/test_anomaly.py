"""Detectors against scikit-learn, SciPy and brute force; features against the layers of networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.spatial.distance import mahalanobis as scipy_mahalanobis
from sklearn.covariance import ledoit_wolf
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor

from overunlearn_jax.defences import (
    anomaly_gate,
    isolation_forest,
    last_layer_features,
    local_outlier_factor,
    log_probability_features,
    mahalanobis,
    nearest_neighbours,
    pixel_features,
)
from overunlearn_jax.models import pure_model, vgg
from overunlearn_jax.types import Request, Variables
from tests.defences.small import KEY, digits, predict, probabilities, request, view
from tests.unlearn.small_model import CLASSES, IMAGE_SHAPE, small_model

RNG = np.random.default_rng(0)
TRAIN = np.concatenate([RNG.normal(0, 1, (60, 5)), RNG.normal(3, 1, (60, 5)), RNG.normal(-3, 2, (60, 5))])
LABELS = np.repeat(np.arange(3), 60)
ASKED = RNG.normal(0, 3, (25, 5))
ASKED_LABELS = RNG.integers(0, 3, 25)


def test_mahalanobis_is_that_of_scipy():
    means = np.stack([TRAIN[each == LABELS].mean(0) for each in range(3)])
    covariance = ledoit_wolf(TRAIN - means[LABELS], assume_centered=True)[0]
    inverse = np.linalg.inv(covariance)
    expected = [scipy_mahalanobis(x, means[y], inverse) for x, y in zip(ASKED, ASKED_LABELS, strict=True)]
    np.testing.assert_allclose(mahalanobis(TRAIN, LABELS, 3)(ASKED, ASKED_LABELS), expected, rtol=1e-9)


def test_mahalanobis_takes_features_without_variance():
    dead = np.concatenate([TRAIN, np.zeros((180, 1))], axis=1)
    scores = mahalanobis(dead, LABELS, 3)(dead, LABELS)
    assert np.isfinite(scores).all()
    assert mahalanobis(dead, LABELS, 3)(dead[:1] + np.eye(6)[5] * 5, LABELS[:1]) > scores[0]


@pytest.mark.parametrize("neighbours", [1, 4])
def test_neighbours_are_those_of_brute_force(neighbours):
    distances = cdist(ASKED, TRAIN)
    ranked = np.sort(distances, axis=1)[:, neighbours - 1]
    np.testing.assert_allclose(nearest_neighbours(TRAIN, neighbours=neighbours)(ASKED, ASKED_LABELS), ranked, rtol=1e-9)
    others = np.where(ASKED_LABELS[:, None] == LABELS, distances, np.inf)
    by_label = nearest_neighbours(TRAIN, neighbours=neighbours, labels=LABELS, num_classes=3)
    np.testing.assert_allclose(by_label(ASKED, ASKED_LABELS), np.sort(others, axis=1)[:, neighbours - 1], rtol=1e-9)


def test_forest_and_outlier_factor_are_those_of_scikit_learn():
    seed = int(jax.random.randint(KEY, (), 0, np.iinfo(np.int32).max))
    forest = IsolationForest(n_estimators=30, random_state=seed).fit(TRAIN)
    scores = isolation_forest(TRAIN, KEY, trees=30)(ASKED, ASKED_LABELS)
    np.testing.assert_array_equal(scores, -forest.score_samples(ASKED))
    factor = LocalOutlierFactor(n_neighbors=7, novelty=True).fit(TRAIN)
    scores = local_outlier_factor(TRAIN, neighbours=7)(ASKED, ASKED_LABELS)
    np.testing.assert_allclose(scores, -factor.score_samples(ASKED))


@pytest.mark.parametrize(
    "detector",
    [
        lambda: isolation_forest(TRAIN, KEY),
        lambda: local_outlier_factor(TRAIN),
        lambda: mahalanobis(TRAIN, LABELS, 3),
        lambda: nearest_neighbours(TRAIN),
        lambda: nearest_neighbours(TRAIN, labels=LABELS, num_classes=3),
    ],
)
def test_what_is_far_off_is_stranger_than_what_is_usual(detector):
    far = detector()(np.full((1, 5), 30.0), np.array([0]))
    assert far > detector()(TRAIN, LABELS).max()


def test_the_gate_asks_the_detector_about_features():
    train = digits().train
    gate = anomaly_gate("knn", nearest_neighbours(pixel_features(train.images), neighbours=1), 1e-3)
    asked = request(5)
    changed = Request(np.clip(asked.images + RNG.normal(0, 0.2, asked.images.shape), -0.5, 0.5), asked.labels)
    assert gate(asked, view()).accepted.all()
    decision = gate(changed, view())
    assert not decision.accepted.any()
    differences = (changed.images - asked.images).reshape(5, -1)
    np.testing.assert_allclose(decision.scores, np.linalg.norm(differences, axis=1), rtol=1e-6)
    with pytest.raises(ValueError, match="the request's features hold NaN"):
        anomaly_gate("knn", lambda x, y: y, 0, features=lambda images: np.full((len(images), 2), np.nan))(asked, view())
    with pytest.raises(ValueError, match="the request's features have shape"):
        anomaly_gate("knn", lambda x, y: y, 0, features=lambda images: images)(asked, view())


def test_what_no_detector_can_be_fitted_to():
    with pytest.raises(ValueError, match="features have shape"):
        nearest_neighbours(np.zeros(3))
    with pytest.raises(ValueError, match="features hold NaN"):
        isolation_forest(np.full((3, 2), np.nan), KEY)
    with pytest.raises(ValueError, match=r"neighbours is 4; expected 1 ... 3"):
        nearest_neighbours(np.zeros((3, 2)), neighbours=4)
    with pytest.raises(ValueError, match=r"neighbours is 20; expected 1 ... 2"):
        local_outlier_factor(np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"neighbours is 5; expected 1 ... 2, by the number of samples of class 0"):
        nearest_neighbours(np.zeros((9, 2)), labels=np.array([0] * 2 + [1] * 7), num_classes=2)
    with pytest.raises(ValueError, match="no sample of class 3"):
        mahalanobis(TRAIN, LABELS, 4)
    with pytest.raises(ValueError, match="the samples of each class are all alike"):
        mahalanobis(np.ones((6, 2)), np.arange(6) % 2, 2)
    with pytest.raises(ValueError, match="trees is 0"):
        isolation_forest(TRAIN, KEY, trees=0)


def test_last_layer_features_give_the_logits():
    model = vgg(10, (8, 8, 1), blocks=1, width=2)
    weights = model.init(jax.random.key(0))
    images = request(5).images[:, ::2, ::2]
    features = last_layer_features(model, weights, (8, 8, 1))(images)
    assert (features.shape, features.dtype) == ((5, 512), np.float64)
    head = weights.params["head_logits"]
    logits = model.apply(weights, images, None)[0]
    np.testing.assert_allclose(features @ np.asarray(head["kernel"]) + np.asarray(head["bias"]), logits, atol=1e-5)


def test_last_layer_features_of_a_network_by_hand():
    model = small_model()
    weights = model.init(None)
    images = RNG.uniform(-0.5, 0.5, (7, *IMAGE_SHAPE)).astype(np.float32)
    body, scale = np.asarray(weights.params["body"]["kernel"]), np.asarray(weights.state["mean_square"])
    expected = np.tanh(images.reshape(7, -1) @ body) / np.sqrt(scale)
    np.testing.assert_allclose(last_layer_features(model, weights, IMAGE_SHAPE)(images), expected, rtol=1e-5)
    assert CLASSES == 4


def test_a_kernel_that_is_stored_the_other_way_round():
    def logits(params, images):
        return jnp.tanh(images.reshape(len(images), -1) @ params["a"]) @ params["b"].T

    model = pure_model(lambda key: {}, logits)
    weights = Variables({"a": jnp.asarray(RNG.normal(size=(4, 3))), "b": jnp.asarray(RNG.normal(size=(3, 3)))})
    images = RNG.uniform(-0.5, 0.5, (6, 2, 2, 1)).astype(np.float32)
    expected = np.tanh(images.reshape(6, -1) @ np.asarray(weights.params["a"]))
    np.testing.assert_allclose(last_layer_features(model, weights, (2, 2, 1))(images), expected, rtol=1e-5)


def test_logits_that_no_last_layer_makes():
    model = pure_model(lambda key: {}, lambda w, x: jnp.tanh(x.reshape(len(x), -1) @ w["kernel"]))
    with pytest.raises(ValueError, match="tried kernel: take log_probability_features"):
        last_layer_features(model, Variables({"kernel": jnp.ones((4, 2)) * jnp.arange(1, 3)}), (2, 2, 1))
    with pytest.raises(ValueError, match="tried no matrix for that many classes"):
        last_layer_features(
            pure_model(lambda key: {}, lambda w, x: x.reshape(len(x), -1) * w), Variables(jnp.ones(4)), (2, 2, 1)
        )


def test_log_probabilities_are_features_of_any_service():
    images = request(5).images
    np.testing.assert_allclose(log_probability_features(predict())(images), np.log(probabilities(images)), rtol=1e-3)
    assert np.isfinite(log_probability_features(lambda x: np.eye(10)[np.zeros(len(x), int)])(images)).all()
