"""A service is looked at before hours are spent on it; its answers are its name."""

import jax
import numpy as np
import pytest

from overunlearn_jax.services.fingerprint import Answers, answers_digest, ask, asked_images, same, weights_digest
from overunlearn_jax.services.inspection import ServiceError, inspect_service
from overunlearn_jax.services.service import ONLY
from tests.services.fakes import InPlace, InPlaceService, splits

KEY = jax.random.key(0)
DATA = splits()


def test_a_service_that_does_what_it_should():
    inner = InPlace()
    found = inspect_service(InPlaceService(inner), DATA, 0, KEY)
    assert found.changed
    assert found.before.noise == 0.0
    assert not found.warnings
    assert inner.calls == ["forget 1", "reset"]
    moved = InPlace()
    first = np.flatnonzero(DATA.train.labels == 0)
    first = np.random.default_rng(0).permutation(first)[:1]
    moved.forget(DATA.train.images[first], DATA.train.labels[first])
    expected = moved.predict(asked_images(DATA.test))
    np.testing.assert_allclose(found.after[ONLY].probabilities, expected, atol=1e-6)


def test_a_reset_that_brings_nothing_back_is_an_error():
    with pytest.raises(ServiceError, match="after reset the service answers otherwise than before the deletion"):
        inspect_service(InPlaceService(InPlace(resets=False)), DATA, 0, KEY)


def test_a_forget_that_changes_nothing_and_answers_that_change_by_themselves_are_said():
    still = inspect_service(InPlaceService(InPlace(forgets=False)), DATA, 0, KEY)
    assert not still.changed
    assert still.warnings == ["forgetting one sample changed none of the service's answers"]
    noisy = inspect_service(InPlaceService(InPlace(noise=1e-3)), DATA, 0, KEY)
    assert noisy.before.noise > 0
    assert any("differently when it is asked twice" in each for each in noisy.warnings)


def test_answers_are_the_same_within_their_own_noise():
    images = asked_images(DATA.test)
    one, other = (ask(InPlace(noise=noise).predict, images) for noise in (0.0, 1e-3))
    assert same(one, one)
    assert same(other, ask(InPlace(noise=1e-3).predict, images))
    changed = InPlace()
    changed.weights[0, 0] += 0.1
    assert not same(one, ask(changed.predict, images))
    assert not same(one, Answers(one.probabilities[1:], 0.0))
    assert answers_digest(one) != answers_digest(other)


def test_a_digest_of_weights_changes_with_any_of_them():
    tree = {"a": np.zeros(3, np.float32), "b": np.ones((2, 2), np.float32)}
    known = weights_digest(tree)
    assert known == weights_digest({name: array.copy() for name, array in tree.items()})
    others = (
        tree | {"a": np.array([0, 0, 1e-30], np.float32)},
        tree | {"a": np.zeros(3, np.float64)},
        tree | {"b": np.ones((4, 1), np.float32)},
        {"a": tree["a"], "c": tree["b"]},
    )
    assert len({known, *map(weights_digest, others)}) == 5
