"""How long the steps of honest requests are, and the bound that follows for one more.

A first-order step grows with the number of samples and depends on their class, so that there is no one length: it is
found for every request's own numbers of samples, see `honest_requests`.

Costs m runs of the method for each combination of numbers that has not been met before: for a first-order step m times
the gradients of the request. It needs m + 1 >= 1 / (1 - quantile).
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from overunlearn_jax.defences.honest_requests import CalibrationError, Composition, after_honest, check_calibration
from overunlearn_jax.services.service import After, HasWeights, Service, Variant
from overunlearn_jax.types import Key, Split
from overunlearn_jax.unlearn.updates import step_length


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
