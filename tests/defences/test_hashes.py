"""Digests against hashlib, pHash against imagehash and on photographs, look-ups against brute force."""

import hashlib
import hmac

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from overunlearn_jax.defences import (
    RE_ENCODINGS,
    HashStore,
    copies_gate,
    exact_digest_gate,
    exact_digests,
    keyed_hashes,
    perceptual_hash_gate,
    perceptual_hashes,
    re_encoded,
)
from overunlearn_jax.defences.gate import View
from overunlearn_jax.defences.perceptual_hash import as_bits
from overunlearn_jax.types import Bounds, DatasetSpec, Request

BOUNDS = Bounds(-0.5, 0.5)
SECRET = b"of the server"


@pytest.fixture(scope="module")
def photographs():
    """32 parts of two photographs, shape (32, 64, 64, 3)."""
    parts = [
        image[top : top + 64, left : left + 64]
        for image in load_sample_images().images
        for top in range(20, 340, 80)
        for left in range(40, 600, 150)
    ]
    return (np.stack(parts) / 255 - 0.5).astype(np.float32)


def _view(images):
    return View(DatasetSpec("photographs", images.shape[1:], BOUNDS, ("a", "b")), lambda asked: None)


def _asked(images):
    return Request(images, np.zeros(len(images), np.int32))


def _bits_between(first, second):
    return np.array([np.sum(a != b) for a, b in zip(as_bits(first), as_bits(second), strict=True)])


def test_digests_are_those_of_the_standard_library(photographs):
    pixels = np.rint((photographs.astype(np.float64) + 0.5) * 255).astype(np.uint8)
    message = b"64x64x3:" + pixels[3].tobytes()
    assert exact_digests(photographs, BOUNDS)[3] == hashlib.sha256(message).digest()
    keyed = exact_digests(photographs, BOUNDS, secret=SECRET)[3]
    assert keyed == hmac.new(SECRET, message, hashlib.sha256).digest()


def test_images_of_equal_bytes_and_another_shape_have_other_digests():
    flat = np.zeros((1, 2, 8, 1))
    assert exact_digests(flat, BOUNDS) != exact_digests(flat.reshape(1, 8, 2, 1), BOUNDS)


def test_the_exact_gate_takes_training_images_alone(photographs):
    gate = exact_digest_gate(exact_digests(photographs[:16], BOUNDS, secret=SECRET), secret=SECRET)
    decision = gate(_asked(photographs), _view(photographs))
    assert decision.accepted.tolist() == [True] * 16 + [False] * 16
    assert gate(_asked(re_encoded(photographs[:16], BOUNDS, "png")), _view(photographs)).accepted.all()
    assert not gate(_asked(re_encoded(photographs[:16], BOUNDS, "jpeg95")), _view(photographs)).accepted.any()
    moved = photographs[:16].copy()
    moved[:, 5, 5, 1] += np.where(moved[:, 5, 5, 1] < 0, 1, -1) / np.float32(255)
    assert not gate(_asked(moved), _view(photographs)).accepted.any()
    other_key = exact_digest_gate(exact_digests(photographs[:16], BOUNDS, secret=SECRET))
    assert not other_key(_asked(photographs[:16]), _view(photographs)).accepted.any()


@pytest.mark.parametrize("bits", [64, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_perceptual_hashes_are_those_of_imagehash(photographs, bits, channels):
    imagehash = pytest.importorskip("imagehash")
    images = photographs[..., :channels]
    pixels = np.rint((images.astype(np.float64) + 0.5) * 255).astype(np.uint8)
    side = int(bits**0.5)
    theirs = [
        imagehash.phash(Image.fromarray(each if channels == 3 else each[..., 0]), hash_size=side).hash.reshape(-1)
        for each in pixels
    ]
    np.testing.assert_array_equal(as_bits(perceptual_hashes(images, BOUNDS, bits=bits)), np.stack(theirs))


def _slow_phash(image, side):
    """From the definition, with SciPy's transform of the whole image."""
    from scipy.fft import dctn

    picture = Image.fromarray(np.rint((image.astype(np.float64) + 0.5) * 255).astype(np.uint8))
    grey = picture.convert("L").resize((4 * side, 4 * side), Image.Resampling.LANCZOS)
    low = dctn(np.asarray(grey, np.float64))[:side, :side]
    return (low > np.median(low)).reshape(-1)


@pytest.mark.parametrize("bits", [64, 256])
def test_perceptual_hashes_are_those_of_the_definition(photographs, bits):
    hashes = perceptual_hashes(photographs, BOUNDS, bits=bits)
    assert hashes.dtype == np.uint64
    np.testing.assert_array_equal(as_bits(hashes), [_slow_phash(each, int(bits**0.5)) for each in photographs])


@pytest.mark.parametrize("secret", [None, SECRET])
def test_what_looks_alike_is_near_and_what_does_not_is_far(photographs, secret):
    textured = photographs[photographs.std((1, 2, 3)) > 0.15]
    assert len(textured) > 10
    store = HashStore(textured, BOUNDS, secret=secret)
    own = store.hashes
    others = [_bits_between(own[[i]], own[[j]])[0] for i in range(len(own)) for j in range(i)]
    for how in RE_ENCODINGS:
        moved = _bits_between(own, store.hash(re_encoded(textured, BOUNDS, how)))
        assert np.mean(moved < 50) > 0.8, how  # the others are half sky, whose bits rounding decides about
        assert np.median(moved) < 20
    assert min(others) > 50
    assert np.median(_bits_between(own, store.hash(textured * np.float32(0.9)))) < 5  # less contrast
    assert (_bits_between(own, store.hash(-textured)) > 240).all()


def test_equal_pixels_have_equal_hashes_however_flat():
    flat = np.stack([np.full((8, 8, 1), value) for value in np.linspace(-0.5, 0.5, 7)])
    hashes = perceptual_hashes(flat, BOUNDS, bits=64)
    assert len(np.unique(hashes[1:])) == 1
    assert as_bits(hashes).sum(axis=1).max() <= 1


def test_keyed_hashes_differ_by_the_angle_and_hang_on_the_secret(photographs):
    from overunlearn_jax.defences.perceptual_hash import _low_frequencies

    low = _low_frequencies(photographs, BOUNDS, 24).reshape(len(photographs), -1)[:, 1:]
    roots = np.sign(low) * np.sqrt(np.abs(low))
    hashes = keyed_hashes(photographs, BOUNDS, secret=SECRET, bits=576)
    unit = roots / np.linalg.norm(roots, axis=1, keepdims=True)
    for i in range(0, 31):
        angle = np.arccos(unit[i] @ unit[i + 1]) / np.pi
        deviation = np.sqrt(576 * angle * (1 - angle))
        assert abs(_bits_between(hashes[[i]], hashes[[i + 1]])[0] - 576 * angle) < 5 * deviation
    other = _bits_between(hashes, keyed_hashes(photographs, BOUNDS, secret=b"another", bits=576))
    assert abs(other.mean() - 288) < 25
    np.testing.assert_array_equal(hashes, keyed_hashes(photographs, BOUNDS, secret=SECRET, bits=576))


def test_look_ups_are_those_of_brute_force(photographs):
    store = HashStore(photographs, BOUNDS)
    rng = np.random.default_rng(0)
    asked = rng.integers(0, 2**63, (50, 4), dtype=np.uint64)
    asked[7] = store.hashes[20]
    found = store.nearest(asked)
    between = (as_bits(asked)[:, None] != as_bits(store.hashes)).sum(-1)
    np.testing.assert_array_equal(found.rows, between.argmin(1))
    np.testing.assert_array_equal(found.distances, between.min(1))
    assert (found.rows[7], found.distances[7]) == (20, 0)


def test_a_large_store_is_looked_up_block_by_block(monkeypatch, photographs):
    store = HashStore(photographs, BOUNDS)
    whole = store.nearest(store.hashes)
    monkeypatch.setattr("overunlearn_jax.defences.hash_store._AT_ONCE", 100)
    np.testing.assert_array_equal(store.nearest(store.hashes), whole)


def test_the_perceptual_gate(photographs):
    view, asked = _view(photographs), _asked(photographs)
    store = HashStore(photographs[:16], BOUNDS)
    decision = perceptual_hash_gate(store, 20)(asked, view)
    assert decision.accepted.tolist() == [True] * 16 + [False] * 16
    assert (decision.scores[:16] == 0).all()
    assert perceptual_hash_gate(store, np.inf)(asked, view).accepted.all()
    assert not perceptual_hash_gate(store, -np.inf)(asked, view).accepted.any()
    for threshold in (-1, 257, np.nan, [20.0, 257.0]):
        with pytest.raises(ValueError, match=r"phash has distance=\S+; expected bits that differ, from 0 to 256"):
            perceptual_hash_gate(store, threshold)
    alone = [perceptual_hash_gate(store, 20)(_asked(photographs[[i]]), view).scores[0] for i in range(32)]
    np.testing.assert_array_equal(alone, decision.scores)
    with pytest.raises(ValueError, match="the hashes were made of pixels in"):
        perceptual_hash_gate(store, 20)(asked, view._replace(spec=view.spec._replace(bounds=Bounds(-1.0, 1.0))))


def test_what_has_no_hash(photographs):
    with pytest.raises(ValueError, match="bits is 100"):
        perceptual_hashes(photographs, BOUNDS, bits=100)
    with pytest.raises(ValueError, match="bits is 0"):
        perceptual_hashes(photographs, BOUNDS, bits=0)
    with pytest.raises(ValueError, match="expected \\(n, h, w, c\\)"):
        perceptual_hashes(photographs[0], BOUNDS)
    with pytest.raises(ValueError, match="expected floats in"):
        perceptual_hashes(photographs + 1, BOUNDS)
    with pytest.raises(ValueError, match="the secret is empty"):
        keyed_hashes(photographs, BOUNDS, secret=b"")
    with pytest.raises(ValueError, match="the secret is empty"):
        exact_digests(photographs, BOUNDS, secret=b"")
    with pytest.raises(ValueError, match="there are no digests"):
        exact_digest_gate([])
    with pytest.raises(ValueError, match="expected uint64 \\(n, 4\\)"):
        HashStore(photographs, BOUNDS).nearest(np.zeros((1, 1), np.uint64))


def test_copies_count_once_however_they_are_stored(photographs):
    originals = photographs[:6]
    ways = [originals, *(re_encoded(originals, BOUNDS, how) for how in ("png", "jpeg95", "brighter"))]
    asked = _asked(np.clip(np.concatenate(ways), -0.5, 0.5))
    found = copies_gate()(asked, _view(originals))
    assert found.accepted[: len(originals)].all()
    assert not found.accepted[len(originals) :].any()
    hashes = perceptual_hashes(asked.images, BOUNDS)
    by_hand = [min(_bits_between(hashes[:row], np.repeat(hashes[row : row + 1], row, 0))) for row in range(1, 12)]
    np.testing.assert_array_equal(-found.scores[1:12], by_hand)


def test_copies_at_the_limits(photographs):
    asked = _asked(np.repeat(photographs[:1], 4, 0))
    assert copies_gate(-1)(asked, _view(photographs)).accepted.all()
    assert copies_gate(np.inf)(_asked(photographs), _view(photographs)).accepted.tolist() == [True] + [False] * 31
    assert copies_gate()(_asked(photographs[:1]), _view(photographs)).accepted.tolist() == [True]
    with pytest.raises(ValueError, match="bits"):
        copies_gate(bits=65)
    with pytest.raises(ValueError, match="distance is NaN"):
        copies_gate(np.nan)
