"""An attacker who knows a gate: from the pushed image back towards the original, no farther than the gate asks."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Accepts = Callable[[np.ndarray], np.ndarray]  # images (n, h, w, c) to booleans (n,), in the order of the samples


class Retreated(NamedTuple):
    """Images on the line between original and pushed image, one a sample."""

    images: np.ndarray  # shape=(n, h, w, c), dtype=float32
    shares: np.ndarray  # shape=(n,), dtype=float64: of the way to the pushed image, 0 to 1
    accepted: np.ndarray  # shape=(n,), dtype=bool: False where not even the original is; that stands in `images`


def retreat(accepts: Accepts, originals: np.ndarray, pushed: np.ndarray, *, steps: int = 8) -> Retreated:
    """For each sample the image nearest to the pushed one that `accepts` accepts, found by halving.

    The pushed image is asked about first, then the original, then `steps` images between them: each call asks about
    all samples, and none is made once every pushed image is accepted. What is accepted is taken to be one piece of the
    line, from the original on; where it is not, the image is accepted all the same, but another one may lie farther
    out. What `accepts` asks of a service is counted by its `BlackBox`.

    Args:
      accepts: the gate as the attacker knows it, or asks it.
      originals: shape (n, h, w, c), floats.
      pushed: the same shape.
      steps: halvings, 0 or more; the share is known to 2**-steps.

    Returns:
      Images, how far each has gone, and whether it is accepted.

    Raises:
      ValueError: shapes differ, `steps` is negative, or `accepts` answers something else than a boolean a sample.

    >>> retreat(lambda images: images[:, 0, 0, 0] < 0.3, np.zeros((1, 1, 1, 1)), np.ones((1, 1, 1, 1)), steps=3).shares
    array([0.25])
    """
    if originals.shape != pushed.shape or originals.ndim != 4:
        raise ValueError(
            f"originals have shape {originals.shape} and pushed {pushed.shape}; expected (n, h, w, c) twice"
        )
    if steps < 0:
        raise ValueError(f"steps is {steps}; expected the number of halvings, 0 or more")

    def on_line(shares: np.ndarray) -> np.ndarray:
        there = shares[:, None, None, None]
        return np.where(there == 1, pushed, originals + there * (pushed - originals)).astype(np.float32)

    def asked(shares: np.ndarray) -> np.ndarray:
        answer = np.asarray(accepts(on_line(shares)))
        if answer.shape != shares.shape or answer.dtype != bool:
            raise ValueError(
                f"accepts answered shape {answer.shape}, {answer.dtype}; expected a boolean for {len(shares)} images"
            )
        return answer

    count = len(originals)
    low, high = np.zeros(count), np.ones(count)
    as_pushed, as_original = asked(high), asked(low)
    low[as_pushed] = 1.0
    open_ = as_original & ~as_pushed
    for _ in range(steps):
        if not open_.any():
            break
        middle = np.where(open_, (low + high) / 2, low)
        within = asked(middle)
        low, high = np.where(open_ & within, middle, low), np.where(open_ & ~within, middle, high)
    return Retreated(on_line(low), low, as_original | as_pushed)
