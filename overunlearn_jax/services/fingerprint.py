"""What a service is called: by what it answers, and by how it forgets.

A JAX model's predictions are named by a digest of its weights. Any other service's are named by its answers to some
real images, compared within the noise that asking twice shows: two services that answer those alike, and other images
differently, have one name. What that cannot see: a change that leaves all answers to these images as they were.
"""

import hashlib
from typing import NamedTuple

import jax
import numpy as np

from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.data import take
from overunlearn_jax.typed_keys import without_keys
from overunlearn_jax.types import PredictFn, PyTree, Split

ASKED = 256  # images whose answers name a service
# Logarithms that are at most so far apart are the same answer.
SAME = 1e-3  # of another start, whose sums may be rounded otherwise
SAME_START = 1e-6  # of one start
FLOOR = 1e-9  # probabilities below it are the same; above it their logarithms tell sure services apart


class Answers(NamedTuple):
    """What a service answered, and how far apart the same question came back."""

    probabilities: np.ndarray  # shape=(n, k), dtype=float32
    noise: float  # largest `distance` between two askings; 0 for a service that repeats itself


def weights_digest(variables: PyTree) -> str:
    """16 hexadecimal digits that change with any weight, shape, dtype or name of a tree of arrays."""
    hasher = hashlib.blake2b(digest_size=8)
    for path, leaf in jax.tree.leaves_with_path(without_keys(variables)):
        array = np.asarray(leaf)
        hasher.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        hasher.update(array.tobytes())
    return hasher.hexdigest()


def asked_images(split: Split) -> np.ndarray:
    """The images whose answers name a service: evenly spread over a split, the same for every service of that data."""
    positions = np.unique(np.linspace(0, len(split.labels) - 1, min(ASKED, len(split.labels))).astype(np.int64))
    return take(split, positions).images


def ask(predict: PredictFn, images: np.ndarray, times: int = 2) -> Answers:
    """Asks a service about the same images several times; each costs one query an image.

    Args:
      predict: images to probabilities.
      images: shape=(n, h, w, c), dtype=float32, inside the data's bounds.
      times: 2 or more.

    Returns:
      What it answered, and how far the answers differ.
    """
    asked = np.stack([predict_in_batches(predict, images) for _ in range(times)])
    return Answers(asked[0].astype(np.float32), float(np.ptp(_logarithms(asked), axis=0).max()))


def distance(one: Answers, other: Answers) -> float:
    """The largest difference of a probability's logarithm, nats; infinite where the two answer different questions.

    Of probabilities themselves, two services that are sure of everything would differ by nothing.
    """
    if one.probabilities.shape != other.probabilities.shape:
        return float("inf")
    return float(np.abs(_logarithms(one.probabilities) - _logarithms(other.probabilities)).max())


def _logarithms(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.asarray(probabilities, np.float64) + FLOOR)


def same(one: Answers, other: Answers, rounding: float = SAME) -> bool:
    """Whether two answers may be of one service: closer than `rounding`, or than half again what two askings were."""
    return distance(one, other) <= max(rounding, 1.5 * one.noise, 1.5 * other.noise)


def answers_digest(answers: Answers) -> str:
    """16 hexadecimal digits for answers that no stored ones are the same as."""
    return hashlib.blake2b(answers.probabilities.tobytes(), digest_size=8).hexdigest()
