"""Victims of other libraries behind the wall: a scikit-learn classifier and a PyTorch network are pushed across."""

import jax
import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from overunlearn_jax.attacks import ZooSettings, push
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.data import load


@pytest.fixture(scope="module")
def digits():
    return load("digits", seed=0)


def _pushes_across(predict, digits, slots):
    """Pushes four images; both sides of the boundary are checked with the victim itself."""
    received = []

    def counting(images):
        received.append(len(images))
        return predict(images)

    service = BlackBox(digits.spec, counting, batch_size=512)
    right = np.flatnonzero(predict(digits.train.images).argmax(-1) == digits.train.labels)
    assert len(right) > 0.8 * len(digits.train.labels)
    images, labels = digits.train.images[right[:4]], digits.train.labels[right[:4]]
    settings = ZooSettings(digits.spec.bounds, coordinates=32, step_size=0.05, difference=1e-3, max_steps=400)
    result = push(service, images, labels, settings, jax.random.key(0), slots=slots)
    assert result.crossed.all()
    assert (predict(result.inside).argmax(-1) == labels).all()
    assert (predict(result.outside).argmax(-1) != labels).all()
    assert service.queries == sum(received) == result.queries.sum()
    assert max(received) == 4 * settings.queries_per_step  # the probes of all samples in one batch


def test_a_scikit_learn_classifier(digits):
    classifier = MLPClassifier((32,), tol=1e-3, random_state=0)
    images = digits.train.images
    classifier.fit(images.reshape(len(images), -1), digits.train.labels)

    def predict(batch):
        return classifier.predict_proba(batch.reshape(len(batch), -1))

    _pushes_across(predict, digits, slots=4)


def test_a_pytorch_network(digits):
    torch = pytest.importorskip("torch", reason="pip install -e '.[torch]'")
    torch.manual_seed(0)
    height, width, _ = digits.spec.image_shape
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * height * width, 10),
    )
    images = torch.from_numpy(digits.train.images.transpose(0, 3, 1, 2).copy())
    labels = torch.from_numpy(digits.train.labels.astype(np.int64))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()

    def predict(batch):
        with torch.no_grad():
            channels_first = torch.from_numpy(batch.transpose(0, 3, 1, 2).copy())
            return network(channels_first).softmax(-1).numpy()

    _pushes_across(predict, digits, slots=4)
