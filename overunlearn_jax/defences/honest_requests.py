"""Honest requests to compare with: the same numbers of samples, drawn from the data that the server holds.

What a deletion takes depends on the number of its samples and on their class: honest requests are drawn for every
request's own numbers of samples by class, and their method is run. Samples are drawn whether the model is right about
them or not, as honest people's are.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import jax
import numpy as np

from overunlearn_jax.defences.gate import GateError
from overunlearn_jax.services.service import After, Service, Variant, after_each
from overunlearn_jax.types import Key, Request, Split

Found = TypeVar("Found")
Composition = tuple[tuple[tuple[int, int], ...], ...]  # for each request: (class, samples), in the order of classes


class CalibrationError(GateError):
    """What is normal for honest requests cannot be found out; nothing was unlearned."""


def check_calibration(held: Split, requests: int) -> None:
    """Raises ValueError for fewer than one request, and CalibrationError for an empty calibration set."""
    if isinstance(requests, bool) or not isinstance(requests, int | np.integer) or requests < 1:
        raise ValueError(f"requests are {requests}; expected a whole number of honest ones, 1 or more")
    if len(held.labels) == 0:
        raise CalibrationError("the calibration set is empty: give samples that the model was trained on")


def composition(requests: Sequence[Request]) -> Composition:
    """The numbers of samples by class of each request.

    >>> composition([Request(np.zeros((3, 1, 1, 1)), np.array([2, 0, 2]))])
    (((0, 1), (2, 2)),)
    """
    counted = [np.unique(request.labels, return_counts=True) for request in requests]
    return tuple(tuple(zip(labels.tolist(), counts.tolist(), strict=True)) for labels, counts in counted)


def honest_requests(held: Split, like: Composition, count: int, key: Key) -> list[list[Request]]:
    """`count` sequences of honest requests, each of as many samples of each class as `like` says.

    Samples are drawn without replacement within a sequence, the labels are their own. Raises CalibrationError where
    the server holds no sample, or too few, of a class.
    """
    wanted: dict[int, int] = {}
    for label, number in (pair for request in like for pair in request):
        wanted[label] = wanted.get(label, 0) + number
    rows = {label: np.flatnonzero(held.labels == label) for label in wanted}
    for label, number in wanted.items():
        if len(rows[label]) < number:
            raise CalibrationError(
                f"the calibration set has {len(rows[label])} samples of class {label}, and a request of {number} is to "
                "be compared with honest ones: hold more samples of that class, or refuse requests of so many"
            )
    drawn = []
    for number in range(count):
        own = jax.random.fold_in(key, number)
        left = {
            label: iter(np.asarray(jax.random.permutation(jax.random.fold_in(own, label), of_class)))
            for label, of_class in rows.items()
        }
        sequence = []
        for request in like:
            taken = np.array([next(left[label]) for label, samples in request for _ in range(samples)], np.int64)
            sequence.append(Request(held.images[taken], held.labels[taken]))
        drawn.append(sequence)
    return drawn


def keys_of(key: Key, like: Composition) -> tuple[Key, Key]:
    """A key to draw samples with and one for the method, of a composition alone."""
    drawing, forgetting = jax.random.split(jax.random.fold_in(key, zlib.crc32(repr(like).encode())))
    return drawing, forgetting


def after_honest(
    service: Service,
    held: Split,
    like: Composition,
    count: int,
    key: Key,
    look: Callable[[Mapping[Variant, After]], Found],
) -> list[Found]:
    """What `look` finds after each of `count` honest deletions.

    Args:
      service: is asked to forget `count` times, and is itself again after each.
      held: where honest samples are drawn from.
      like: numbers of samples, see `composition`.
      count: honest deletions.
      key: of the draws and the deletions; with the same one, and the same `like`, they are the same.
      look: takes what is left, by variant, while it can be asked.

    Raises:
      CalibrationError: too few samples of a class.
    """
    drawing, forgetting = keys_of(key, like)
    found = []
    for number, requests in enumerate(honest_requests(held, like, count, drawing)):
        with after_each(service, requests, jax.random.fold_in(forgetting, number)) as left:
            found.append(look(left))
    return found
