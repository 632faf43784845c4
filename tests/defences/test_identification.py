"""Identification: a request names originals, whatever was added to them and whatever label came with it."""

import numpy as np
import pytest

from overunlearn_jax.defences import HashStore, exact_digests, identifier, lookup_by_digest, lookup_by_hash
from overunlearn_jax.types import Request
from tests.defences.small import digits, request, view

TRAIN = digits().train
BOUNDS = digits().spec.bounds
DIGESTS = exact_digests(TRAIN.images, BOUNDS)


@pytest.fixture(scope="module")
def by_hash():
    store = HashStore(TRAIN.images, BOUNDS)
    return lambda most: identifier(TRAIN, lookup_by_hash(store), most)


def test_originals_and_true_labels_come_back_for_what_was_changed(by_hash):
    asked = request(30, start=100)
    noise = np.random.default_rng(0).normal(0, 0.01, asked.images.shape)
    changed = Request(np.clip(asked.images + noise, -0.5, 0.5).astype(np.float32), (asked.labels + 1) % 10)
    found = by_hash(40)(changed, view())
    assert found.decision.accepted.all()
    np.testing.assert_array_equal(found.rows, np.arange(100, 130))
    np.testing.assert_array_equal(found.request.images, asked.images)
    np.testing.assert_array_equal(found.request.labels, asked.labels)


def test_what_is_not_found_is_said_and_left_out():
    asked = request(3)
    other = np.clip(asked.images[[1]] + np.float32(0.02), -0.5, 0.5)
    both = Request(np.concatenate([asked.images, other]), np.append(asked.labels, 0))
    found = identifier(TRAIN, lookup_by_digest(DIGESTS, BOUNDS), 0)(both, view())
    assert found.decision.accepted.tolist() == [True, True, True, False]
    assert found.decision.scores.tolist() == [0, 0, 0, 1]
    assert found.rows.tolist() == [0, 1, 2, -1]
    assert len(found.request.labels) == 3
    none = identifier(TRAIN, lookup_by_digest(DIGESTS, BOUNDS), 0)(Request(other, np.array([0])), view())
    assert none.request.images.shape == (0, 16, 16, 1)
    assert none.request.labels.shape == (0,)


def test_copies_of_one_original_ask_for_it_once(by_hash):
    rows = np.array([5, 2, 5, 2, 9])
    found = by_hash(0)(Request(TRAIN.images[rows], TRAIN.labels[rows]), view())
    assert found.rows.tolist() == [5, 2, 5, 2, 9]
    np.testing.assert_array_equal(found.request.images, TRAIN.images[[5, 2, 9]])


def test_limits(by_hash):
    strange = Request(-request(4).images, request(4).labels)
    assert by_hash(np.inf)(strange, view()).decision.accepted.all()
    assert not by_hash(-1)(request(4), view()).decision.accepted.any()


def test_wrong_input(by_hash):
    with pytest.raises(ValueError, match="most is NaN"):
        by_hash(float("nan"))
    with pytest.raises(ValueError, match=r"expected \(n, 16, 16, 1\)"):
        by_hash(0)(Request(np.zeros((1, 8, 8, 1), np.float32), np.array([0])), view())
