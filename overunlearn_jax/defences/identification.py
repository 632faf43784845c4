"""Identify instead of reject: look up which training sample is meant, and have *that* forgotten.

What is submitted then only points at an original, and whatever was added to it reaches no gradient. The person who asks
gets what they asked for, also where their copy was stored anew.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from overunlearn_jax.defences.exact_digest import exact_digests
from overunlearn_jax.defences.gate import Decision, View
from overunlearn_jax.defences.hash_store import HashStore, Nearest
from overunlearn_jax.defences.scored_gate import check_submitted
from overunlearn_jax.types import Bounds, Images, Request, Split

Lookup = Callable[[Images], Nearest]  # images (n, h, w, c) to the rows of the nearest originals, and how far they are
NOT_FOUND = -1
NOT_MEANT = "no training sample looks like it, or another sample of the request asks for the same one"


class Identified(NamedTuple):
    """What a request means, among the originals."""

    request: Request  # the m originals of the accepted samples, in their order; m may be 0
    rows: np.ndarray  # shape=(n,), dtype=int64: the original of each submitted sample; -1 where none was found
    decision: Decision  # about the n submitted samples: accepted where one was found, and no sample before asks for it


Identify = Callable[[Request, View], Identified]


def identifier(originals: Split, lookup: Lookup, most: float, *, name: str = "identified") -> Identify:
    """Names the original of each submitted image, with the label that it was trained under.

    The submitted label is not looked at, and several copies of one original ask for it once. Who may ask for which
    original is another question: see `View.owner`.

    The server holds: hashes or digests, and the originals, or the right to have their keeper forget `rows`. Cost: a
    look-up for each image. Source: the remedy that follows from the paper's hashes (Hu et al., NDSS 2024).

    Args:
      originals: m training samples.
      lookup: of the same originals in the same order: `lookup_by_hash` or `lookup_by_digest`.
      most: the distance beyond which the nearest original is not the one that is meant. Infinity finds one for every
        image, a number below 0 for none.
      name: of the decision.

    Raises:
      ValueError: NaN for `most`; of the function: a request that does not fit the data set.
    """
    if np.isnan(most):
        raise ValueError("most is NaN; expected a distance, as of bits that differ")
    images, labels = np.asarray(originals.images), np.asarray(originals.labels)

    def identify(request: Request, view: View) -> Identified:
        checked = check_submitted(request, view.spec)
        nearest = lookup(checked.images)
        found = nearest.distances <= most
        rows = np.where(found, nearest.rows, NOT_FOUND)
        accepted = np.zeros(len(rows), bool)
        accepted[np.unique(rows, return_index=True)[1]] = True  # the first that asks for each original
        accepted &= found
        distances = np.asarray(nearest.distances, np.float64)
        decision = Decision(name, accepted, distances, float(most), NOT_MEANT)
        return Identified(Request(images[rows[accepted]], labels[rows[accepted]]), rows, decision)

    return identify


def lookup_by_hash(store: HashStore) -> Lookup:
    """By Hamming distance of perceptual hashes."""
    return lambda images: store.nearest(store.hash(images))


def lookup_by_digest(digests: list[bytes], bounds: Bounds, *, secret: bytes | None = None) -> Lookup:
    """By `exact_digests` of the originals, with the same secret: distance 0 where it is the same file, 1 where not."""
    rows: dict[bytes, int] = {}
    for row, digest in enumerate(digests):
        rows.setdefault(digest, row)

    def lookup(images: Images) -> Nearest:
        found = np.array([rows.get(each, NOT_FOUND) for each in exact_digests(images, bounds, secret=secret)], np.int64)
        return Nearest(np.maximum(found, 0), (found == NOT_FOUND).astype(np.int64))

    return lookup
