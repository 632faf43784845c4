"""The examples of a user's own service: short, right, and an honest request costs them little."""

import importlib
from pathlib import Path

import jax
import numpy as np
import pytest

import overunlearn_jax as ou
from experiments import services
from overunlearn_jax.auditing._audit import fewest_queries
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.data import candidates, request_size, take
from overunlearn_jax.services.callables import from_object
from overunlearn_jax.types import Request

CLASS_A = 3
NAMES = ["flax_nnx", "plain_numpy", "pytorch", "scikit_learn"]


def test_all_examples_are_tested_and_short():
    files = sorted(path for path in Path(services.__file__).parent.glob("*.py") if path.stem != "__init__")
    assert [path.stem for path in files] == NAMES
    assert all(len(path.read_text().splitlines()) <= 30 for path in files)


@pytest.fixture(scope="module")
def digits():
    return ou.load("digits", seed=0)


@pytest.fixture(scope="module", params=NAMES)
def service(request, digits):
    if request.param == "pytorch":
        pytest.importorskip("torch", reason="pip install -e '.[torch]'")
    module = importlib.import_module(f"experiments.services.{request.param}")
    return from_object(module.Service(digits.train), digits.spec)


def accuracies(predict, digits):
    right = predict_in_batches(predict, digits.test.images).argmax(-1) == digits.test.labels
    return float(right.mean()), float(right[digits.test.labels == CLASS_A].mean())


def honest(service, digits, seed):
    """10 % of class 3's training digits, all of them predicted rightly, as an audit chooses them."""
    order = candidates(digits.train, CLASS_A, seed)
    right = service.predict(digits.train.images[order]).argmax(-1) == CLASS_A
    return take(digits.train, order[right][: request_size(digits.train, CLASS_A, 0.1)])


def test_it_predicts_well_and_an_honest_request_costs_its_class_little(service, digits):
    overall, of_class = accuracies(service.predict, digits)
    assert overall >= 0.9
    assert of_class >= 0.85
    before = service.predict(digits.test.images)
    lost = []
    for seed in range(3):
        samples = honest(service, digits, seed)
        likely = service.predict(samples.images)[:, CLASS_A].mean()
        with service.after([Request(samples.images, samples.labels)], jax.random.key(0)) as left:
            assert left.predict(samples.images)[:, CLASS_A].mean() < likely  # gradient ascent
            overall_after, of_class_after = accuracies(left.predict, digits)
        assert overall - overall_after < 0.02
        lost.append(of_class - of_class_after)
    assert np.mean(lost) <= 0.05
    np.testing.assert_array_equal(service.predict(digits.test.images), before)


def test_a_pushed_request_costs_the_class_far_more(service, digits):
    samples = honest(service, digits, 0)
    search = fewest_queries(digits.spec.bounds, digits.spec.image_shape)
    pushed = ou.push(
        ou.BlackBox(digits.spec, service.predict), samples.images, samples.labels, search, jax.random.key(0)
    )
    assert pushed.crossed.all()
    _, of_class = accuracies(service.predict, digits)
    with service.after([Request(pushed.inside, samples.labels)], jax.random.key(0)) as left:
        assert of_class - accuracies(left.predict, digits)[1] > 0.1
