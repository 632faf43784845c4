"""How long the steps of honest requests are: the same numbers of samples, drawn from the data that the server holds.

A first-order step grows with the number of samples and depends on their class, so that there is no one length: honest
requests are drawn for every request's own numbers of samples by class, and their method is run. Samples are drawn
whether the model is right about them or not, as honest people's are.

Costs m runs of the method for each combination of numbers that has not been met before: for a first-order step m times
the gradients of the request. It needs m + 1 >= 1 / (1 - quantile).
"""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from overunlearn_jax.defences.gate import GateError
from overunlearn_jax.services.service import After, HasWeights, Service, Variant, after_each
from overunlearn_jax.types import Key, Request, Split
from overunlearn_jax.unlearn.updates import step_length

Found = TypeVar("Found")
Composition = tuple[tuple[tuple[int, int], ...], ...]  # for each request: (class, samples), in the order of classes


class CalibrationError(GateError):
    """What is normal for honest requests cannot be found out; nothing was unlearned."""


class StepBound(NamedTuple):
    """What a bound on the length of a step is found from."""

    held: Split  # samples that the model was trained on, as far as the server still has them
    key: Key
    requests: int = 20  # m, honest ones that are tried for each combination of numbers of samples
    quantile: float = 0.95  # of honest steps that are not shortened; 1: the bound is infinite, 0: it is 0


def check_bound(bound: StepBound) -> None:
    """Raises ValueError for numbers out of range, too few requests for the quantile, and an empty calibration set."""
    check_calibration(bound.held, bound.requests)
    if not 0 <= bound.quantile <= 1:
        raise ValueError(f"quantile is {bound.quantile}; expected a fraction of honest steps, from 0 to 1")
    if bound.quantile < 1 and _rank(bound.requests, bound.quantile) > bound.requests:
        least = math.ceil(bound.quantile / (1 - bound.quantile) - 1e-9)
        raise ValueError(
            f"requests are {bound.requests}, too few to know the {bound.quantile:.4g} quantile of honest steps: give "
            f"at least {least}, or a smaller quantile"
        )


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


def honest_lengths(service: Service, held: Split, like: Composition, count: int, key: Key) -> dict[Variant, np.ndarray]:
    """How long the steps of `count` honest requests are, in every way of the service to forget.

    Args:
      service: with weights; it is asked to forget `count` times and is itself again afterwards.
      held: where honest samples are drawn from.
      like: numbers of samples, see `composition`.
      count: honest requests.
      key: of the draws and the deletions.

    Returns:
      Lengths as `unlearn.step_length` gives them, shape=(count,), dtype=float64, by variant.

    Raises:
      CalibrationError: too few samples of a class; a service without weights; an honest deletion that diverges.
    """
    if not isinstance(service, HasWeights):
        raise CalibrationError("this service offers no weights: how long its steps are cannot be told")
    before = service.variables

    def length(left: After) -> float:
        if left.variables is None:
            raise CalibrationError(
                f"an honest request of the same size leaves no weights to measure a step by: "
                f"{left.deletion.diverged or 'the service does not offer them'}"
            )
        return step_length(before, left.variables)

    def lengths(left: Mapping[Variant, After]) -> dict[Variant, float]:
        return {variant: length(each) for variant, each in left.items()}

    found = after_honest(service, held, like, count, key, lengths)
    return {variant: np.array([each[variant] for each in found]) for variant in (found[0] if found else ())}


def longest_honest(lengths: np.ndarray | None, quantile: float) -> float:
    """A bound that one more honest step is longer than with probability 1 - `quantile` at most.

    The ceil((m + 1) * quantile)-th smallest of m lengths, the quantile of split conformal prediction: exact for
    exchangeable requests, whatever their distribution.

    Args:
      lengths: shape=(m,), of honest steps; None: unknown, where the quantile is 0 or 1.
      quantile: 0 is a bound of 0 and 1 an infinite one, whatever the lengths.

    >>> longest_honest(np.arange(1.0, 20.0), 0.9)
    18.0
    """
    if quantile in (0, 1) or lengths is None:
        return math.inf if quantile else 0.0
    return float(np.sort(lengths)[_rank(len(lengths), quantile) - 1])


def bounds_by_variant(lengths: Mapping[Variant, np.ndarray], quantile: float) -> dict[Variant, float]:
    """`longest_honest` of every way to forget.

    Args:
      lengths: shape=(m,) each, of honest steps.
      quantile: of honest steps that are not shortened.
    """
    return {variant: longest_honest(of_variant, quantile) for variant, of_variant in lengths.items()}


def _rank(count: int, quantile: float) -> int:
    return max(1, math.ceil((count + 1) * quantile - 1e-9))
