"""Thresholds from honest people's scores: how many of them a gate may refuse is chosen, the threshold follows."""

from dataclasses import replace

import numpy as np

from overunlearn_jax.defences.gate import View
from overunlearn_jax.defences.scored_gate import ScoredGate
from overunlearn_jax.labels import check_labels
from overunlearn_jax.types import Array, Labels, Request

_ROUNDING = 1e-9  # of (1 - refuse) * (n + 1), which may be a whole number


def threshold(scores: Array | np.ndarray, refuse: float = 0.05, *, higher_is_worse: bool = True) -> float:
    """The threshold beyond which a new honest person's sample lies with probability `refuse` at most.

    That is split conformal prediction (Vovk et al., Algorithmic Learning in a Random World, 2005; Bates et al., Testing
    for outliers with conformal p-values, 2023): of n scores, the one of rank (1 - refuse) (n + 1), rounded up. It
    holds over the draw of calibration samples and new one together, if both come from the same people: the same
    classes, the same ways to store an image (`re_encoded`), among them those that the model gets wrong.

    Args:
      scores: shape=(n,), of honest people's samples, finite.
      refuse: share of honest samples, 0 ... 1. 0 gives a threshold that refuses nothing, 1 one that refuses all.
      higher_is_worse: whether scores above the threshold are refused, as by every gate of this folder, or those below.

    Raises:
      ValueError: no scores, NaN or infinity, a share outside 0 ... 1, or one that so few scores cannot tell: from n,
        no share below 1 / (n + 1) but 0.

    >>> threshold(np.arange(100.0), refuse=0.05)
    95.0
    >>> threshold(np.arange(100.0), refuse=0.05, higher_is_worse=False)
    4.0
    """
    return _threshold("", scores, refuse, higher_is_worse)


def class_thresholds(
    scores: Array | np.ndarray,
    labels: Labels,
    num_classes: int,
    refuse: float = 0.05,
    *,
    higher_is_worse: bool = True,
) -> np.ndarray:
    """`threshold` of each class by itself, so that no class's honest people are refused more often than `refuse`.

    Args:
      scores: shape=(n,).
      labels: shape=(n,), the class that each was submitted with.
      num_classes: k.
      refuse: as in `threshold`, of every class.
      higher_is_worse: as in `threshold`.

    Returns:
      shape=(k,), dtype=float64.

    Raises:
      ValueError: as `threshold`, and for a class without calibration samples or with too few.
    """
    array = np.asarray(scores)
    checked = check_labels("the calibration labels", labels, len(array) if array.ndim else 0, num_classes)
    return np.array(
        [
            _threshold(f" of class {each}", array[checked == each], refuse, higher_is_worse)
            for each in range(num_classes)
        ]
    )


def calibrated(
    gate: ScoredGate, honest: Request, view: View, refuse: float = 0.05, *, per_class: bool = False
) -> ScoredGate:
    """The gate with the threshold that refuses a share `refuse` of honest people's samples, or of each class's.

    Args:
      gate: whatever its threshold.
      honest: asked about as a request would be: samples that were trained on, stored anew.
      view: of the service.
      refuse: share of honest samples, as in `threshold`.
      per_class: whether it is so of every class.

    Raises:
      ValueError: as `threshold` and `class_thresholds` do.
    """
    scores = replace(gate, threshold=np.inf)(honest, view).scores
    if per_class:
        return replace(gate, threshold=class_thresholds(scores, honest.labels, view.spec.num_classes, refuse))
    return replace(gate, threshold=threshold(scores, refuse))


def _threshold(of: str, scores: Array | np.ndarray, refuse: float, higher_is_worse: bool) -> float:
    array = np.asarray(scores, np.float64)
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(
            f"the calibration scores{of} have shape {array.shape}; expected (n,), one for each honest sample and at "
            "least one"
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"the calibration scores{of} hold {np.sum(~np.isfinite(array))} values that are not finite, of {len(array)}"
        )
    if not 0 <= refuse <= 1:  # NaN, too
        raise ValueError(f"refuse is {refuse}; expected a share of honest samples, 0 ... 1")
    worst = 1.0 if higher_is_worse else -1.0
    if refuse == 0:
        return worst * np.inf
    rank = int(np.ceil((1 - refuse) * (len(array) + 1) - _ROUNDING))
    if rank > len(array):
        raise ValueError(
            f"{len(array)} calibration scores{of} cannot tell which {refuse:.3g} of honest samples are the strangest; "
            f"expected at least {int(np.ceil(1 / refuse - _ROUNDING)) - 1}, or a larger share"
        )
    if rank == 0:
        return -worst * np.inf
    return float(worst * np.sort(worst * array)[rank - 1])
