"""What the digests that a server keeps give away to a thief of the store: is this image, which I know, in it?"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.config import Config
from experiments.defences.cases import BITS_APART
from experiments.requests.settings import load_splits
from experiments.run.records import append_records, changed_settings, provenance, records_of
from overunlearn_jax.data import take
from overunlearn_jax.defences.disclosure import digest_distances, disclosure, hash_distances, learnt_hash
from overunlearn_jax.defences.exact_digest import exact_digests
from overunlearn_jax.defences.hash_store import HashStore
from overunlearn_jax.defences.perceptual_hash import as_bits
from overunlearn_jax.defences.re_encoding import RE_ENCODINGS, re_encoded
from overunlearn_jax.files import settings_hash
from overunlearn_jax.types import Bounds, Images, Splits

FILE = "digests.jsonl"
KNOWN = 400  # images that the thief asks about, of each kind, at most
STORED = 10_000  # samples in the store, at most
PAIRS = (100, 1000)  # images whose hashes a thief of a keyed store knows, such as their own
SAME = "same image"
SECRET, WRONG_GUESS = b"the server's own key", b"a key that a thief makes up"


def measure_digests(config: Config, seed: int, folder: Path, command: str) -> None:
    """Adds the records of one seed's draw of images to digests.jsonl, all together; no model is asked.

    Raises ValueError for a file with records of other settings.
    """
    path = folder / FILE
    settings = changed_settings(config)
    digest = settings_hash(settings)
    known = records_of(path, digest)
    if any(record["seed"] == seed for record in known):
        return
    shared = {
        "settings": digest,
        "seed": seed,
        "dataset": config.data.dataset,
        **provenance(command),
    }
    append_records(path, [shared | row for row in digest_records(load_splits(config, seed), seed)])
    print(f"seed {seed}: stored digests", flush=True)


def digest_records(splits: Splits, seed: int) -> Iterator[dict[str, Any]]:
    """A record for each store, what the thief knows beside it, and how the image that they ask about is stored.

    Images of the data set that were not trained on, stored in the same way, give the false positives.
    """
    draws, bounds = np.random.default_rng([seed, 17]), splits.spec.bounds
    train = take(splits.train, draws.permutation(len(splits.train.labels))[:STORED])
    count = min(KNOWN, len(train.labels), len(splits.validation.labels))
    thieves = _thieves(train.images, bounds, count)
    for way in (SAME, *RE_ENCODINGS):
        inside, outside = (
            images if way == SAME else re_encoded(images, bounds, way)
            for images in (train.images[:count], splits.validation.images[:count])
        )
        for thief in thieves:
            found = disclosure(thief.distances(inside), thief.distances(outside), thief.most)
            yield {
                "store": thief.store,
                "thief_knows": thief.knows,
                "image": way,
                "stored": len(train.labels),
                "asked": count,
                **found._asdict(),
            }


class Thief(NamedTuple):
    """Who has a store."""

    store: str
    knows: str  # beside the store
    distances: Callable[[np.ndarray], np.ndarray]  # of images (n, h, w, c) to the nearest stored: shape=(n,)
    most: float  # of an image that is said to be in the store


def _thieves(stored: Images, bounds: Bounds, asked: int) -> list[Thief]:
    """Pairs that a thief knows are never of the first `asked` images, which they ask about."""
    found = []
    for secret, name in ((None, "exact"), (SECRET, "exact, keyed")):
        digests = exact_digests(stored, bounds, secret=secret)
        for guess, knows in _guesses(secret):
            found.append(Thief(name, knows, partial(digest_distances, digests, bounds=bounds, guess=guess), 0))
    for secret, name in ((None, "phash"), (SECRET, "phash, keyed")):
        store = HashStore(stored, bounds, bits=256, secret=secret)
        for guess, knows in _guesses(secret):
            found.append(Thief(name, knows, partial(hash_distances, store, guess=guess), BITS_APART))
    for pairs in PAIRS:  # of the keyed store
        own = slice(asked, asked + pairs)
        if own.stop <= len(stored):
            likely = learnt_hash(stored[own], store.hashes[own], bounds)
            distances = partial(_learnt_distances, likely, as_bits(store.hashes))
            found.append(Thief(name, f"{pairs} images with their hashes", distances, BITS_APART))
    return found


def _guesses(secret: bytes | None) -> list[tuple[bytes | None, str]]:
    return [(None, "nothing")] if secret is None else [(WRONG_GUESS, "nothing"), (secret, "the key")]


def _learnt_distances(likely: Callable[[Images], np.ndarray], stored: np.ndarray, images: Images) -> np.ndarray:
    return _nearest(likely(images), stored)


def _nearest(bits: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """Hamming distances (n,) of bits (n, b) to the nearest of stored ones (m, b)."""
    one, other = bits.astype(np.float32), stored.astype(np.float32)
    return (one.sum(1)[:, None] + other.sum(1) - 2 * one @ other.T).min(1).round().astype(np.int64)
