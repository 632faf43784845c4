"""What a store of digests gives away to whoever has it: whether an image that they know was trained on.

The paper's first objection to hashes. Whoever holds the store hashes the image that they know and looks for it. Without
the key they can only hash with a key of their own; but a keyed perceptual hash is linear but for its signs, and pairs
of images and hashes, such as a person has of their own samples, tell roughly what the key would do.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from overunlearn_jax.defences.exact_digest import exact_digests
from overunlearn_jax.defences.hash_store import HashStore
from overunlearn_jax.defences.perceptual_hash import as_bits, low_frequencies
from overunlearn_jax.types import Bounds, Images

_RIDGE = 1e-2  # of the mean squared coefficient


class Disclosure(NamedTuple):
    """How well images that were trained on can be told from others. Fractions."""

    true_positives: float  # of images that were trained on, how many are said to be
    false_positives: float  # of others
    auc: float  # area under the ROC curve: 0.5 is a coin's, 1 tells all


def disclosure(inside: np.ndarray, outside: np.ndarray, most: float) -> Disclosure:
    """How well distances to what is stored tell images that were trained on from others.

    Args:
      inside: shape=(m,), numbers: distances of images that were trained on.
      outside: shape=(n,), numbers: of others.
      most: an image is said to be inside where its distance is at most this.

    Raises:
      ValueError: there are none of one of the two.

    >>> disclosure(np.array([0, 1]), np.array([9, 9, 1]), 1)
    Disclosure(true_positives=1.0, false_positives=0.3333333333333333, auc=0.9166666666666667)
    """
    if len(inside) == 0 or len(outside) == 0:
        raise ValueError(f"there are {len(inside)} images inside and {len(outside)} outside; expected some of both")
    near = -np.concatenate([inside, outside]).astype(np.float64)
    auc = roc_auc_score(np.repeat([1, 0], [len(inside), len(outside)]), near)
    return Disclosure(float(np.mean(inside <= most)), float(np.mean(outside <= most)), float(auc))


def digest_distances(stored: list[bytes], known: Images, bounds: Bounds, guess: bytes | None = None) -> np.ndarray:
    """0 where the digest of a known image is stored, 1 where not.

    Args:
      stored: digests, of `exact_digests`.
      known: shape=(n, h, w, c), floats inside the bounds.
      bounds: of the pixels.
      guess: the key that the images are hashed with; None: none.

    Returns:
      shape=(n,), dtype=int64.
    """
    held = frozenset(stored)
    return np.array([0 if digest in held else 1 for digest in exact_digests(known, bounds, secret=guess)])


def hash_distances(store: HashStore, known: Images, guess: bytes | None) -> np.ndarray:
    """Bits from the hash of each known image to the nearest that is stored.

    Args:
      store: of perceptual hashes.
      known: shape=(n, h, w, c), floats inside the store's bounds.
      guess: the key that the images are hashed with; None: none.

    Returns:
      shape=(n,), dtype=int64.
    """
    own = HashStore(np.asarray(known), store.bounds, bits=store.bits, secret=guess)
    return store.nearest(own.hashes).distances


def learnt_hash(
    pairs: Images, hashes: np.ndarray, bounds: Bounds, *, bits: int = 256
) -> Callable[[Images], np.ndarray]:
    """What keyed hashes of images are likely to be, from pairs of other images and their hashes.

    Each bit is the sign of a projection on a direction that the key tells; the direction is found by ridge regression
    of the bit on the square roots of the image's low frequencies.

    Args:
      pairs: shape=(m, h, w, c), images whose hashes are known.
      hashes: shape=(m, bits / 64), dtype=uint64, theirs.
      bounds: of the pixels.
      bits: of a hash.

    Returns:
      A function of images (n, h, w, c) that gives booleans, shape=(n, bits), in the order of `as_bits`.

    Raises:
      ValueError: no pairs, or another number of images than of hashes.
    """
    if len(pairs) != len(hashes) or len(pairs) == 0:
        raise ValueError(f"there are {len(pairs)} images and {len(hashes)} hashes; expected pairs, one at least")
    seen = low_frequencies(pairs, bounds, bits=bits)
    signs = np.where(as_bits(hashes), 1.0, -1.0)
    ridge = _RIDGE * len(seen) * np.mean(np.square(seen))
    directions = np.linalg.solve(seen.T @ seen + ridge * np.eye(seen.shape[1]), seen.T @ signs)

    def likely(images: Images) -> np.ndarray:
        found: np.ndarray = low_frequencies(images, bounds, bits=bits) @ directions > 0
        return found

    return likely
