"""What a thief of a store learns: all without a key, nothing without the key, and a lot from enough pairs."""

import doctest

import numpy as np
import pytest

from overunlearn_jax.defences import HashStore, exact_digests
from overunlearn_jax.defences import disclosure as module
from overunlearn_jax.defences.disclosure import digest_distances, disclosure, hash_distances, learnt_hash
from overunlearn_jax.defences.perceptual_hash import as_bits
from overunlearn_jax.types import Bounds

BOUNDS = Bounds(0.0, 1.0)


def test_examples():
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def images(count: int, seed: int = 0) -> np.ndarray:
    """Smooth pictures, each another one."""
    draws = np.random.default_rng(seed)
    coarse = draws.uniform(size=(count, 8, 8, 1))
    return np.repeat(np.repeat(coarse, 4, 1), 4, 2).astype(np.float32)


def test_an_exact_digest_tells_all_to_whoever_has_it_and_nothing_without_the_key():
    inside, outside = images(30), images(30, seed=1)
    for secret, guess, tells in (
        (None, None, True),
        (b"key", b"key", True),
        (b"key", None, False),
        (b"key", b"x", False),
    ):
        stored = exact_digests(inside, BOUNDS, secret=secret)
        found = disclosure(
            digest_distances(stored, inside, BOUNDS, guess), digest_distances(stored, outside, BOUNDS, guess), 0
        )
        assert found == ((1.0, 0.0, 1.0) if tells else (0.0, 0.0, 0.5))


def test_a_keyed_hash_is_a_coin_without_the_key():
    inside, outside = images(300), images(300, seed=1)
    store = HashStore(inside, BOUNDS, secret=b"key")
    known = disclosure(hash_distances(store, inside, b"key"), hash_distances(store, outside, b"key"), 40)
    assert known.true_positives == 1
    assert known.auc > 0.99
    guessed = disclosure(hash_distances(store, inside, b"guess"), hash_distances(store, outside, b"guess"), 40)
    assert guessed.true_positives == guessed.false_positives == 0
    assert guessed.auc == pytest.approx(0.5, abs=0.1)
    plain = HashStore(inside, BOUNDS)
    assert disclosure(hash_distances(plain, inside, None), hash_distances(plain, outside, None), 40).auc == 1


def test_pairs_of_images_and_hashes_tell_what_the_key_does():
    own, other = images(1500), images(200, seed=1)
    hashes = HashStore(own, BOUNDS, secret=b"key").hashes
    right = as_bits(HashStore(other, BOUNDS, secret=b"key").hashes)
    shares = [np.mean(learnt_hash(own[:m], hashes[:m], BOUNDS)(other) == right) for m in (50, 1500)]
    assert shares[0] < shares[1]
    assert shares[1] > 0.75  # a coin is right in half of the bits
    unrelated = HashStore(own, BOUNDS, secret=b"another").hashes
    assert np.mean(learnt_hash(own, unrelated, BOUNDS)(other) == right) == pytest.approx(0.5, abs=0.05)


def test_wrong_questions_are_named():
    with pytest.raises(ValueError, match="expected some of both"):
        disclosure(np.array([1]), np.zeros(0), 0)
    with pytest.raises(ValueError, match="expected pairs"):
        learnt_hash(images(2), np.zeros((3, 4), np.uint64), BOUNDS)
