"""What a request makes SISA train again, and how much of the whole training that is."""

from typing import NamedTuple

import numpy as np

from overunlearn_jax.unlearn.sisa.plan import Assignment, SisaSettings, slice_sizes


class Redone(NamedTuple):
    """What a request cost, and what training all that is left from scratch would cost."""

    slices: int  # slice trainings that were done again
    images: int  # that pass through the training steps of those
    all_images: int

    @property
    def work_share(self) -> float:
        """Repeated training steps as a share of all, in [0, 1]; `expected_work_share` says what to expect."""
        return self.images / self.all_images


def first_touched(assignment: Assignment, rows: np.ndarray, settings: SisaSettings) -> np.ndarray:
    """For each shard the first slice that holds one of some samples.

    Args:
      assignment: of all samples.
      rows: shape=(m,), integers: positions of the samples.
      settings: of the service.

    Returns:
      shape=(shards,), dtype=int64; `settings.slices` for a shard that holds none.
    """
    rows = rows[assignment.shard[rows] >= 0]
    first = np.full(settings.shards, settings.slices, np.int64)
    np.minimum.at(first, assignment.shard[rows], assignment.slice[rows])
    return first


def redone(left: Assignment, first: np.ndarray, settings: SisaSettings) -> Redone:
    """The cost of training again on the samples that are left.

    Args:
      left: their assignment.
      first: shape=(shards,), integers: the slice of each shard from which on it is trained again.
      settings: of the service.
    """
    counts = slice_sizes(left, settings).cumsum(axis=1)
    batches = np.minimum(settings.batch_size, np.maximum(counts, 1))
    images = counts // batches * batches * settings.epochs
    again = np.arange(settings.slices) >= first[:, None]
    return Redone(int(again.sum()), int(images[again].sum()), int(images.sum()))


def expected_work_share(shards: int, slices: int, requests: int) -> float:
    """The share of the training work, in [0, 1], that forgetting `requests` random samples is expected to repeat.

    With S shards of R slices, all of one size, slice i of a shard (counted from 1) is trained on i / R of the shard. It
    is trained again if any of the r samples lies in slices 1 ... i of that shard. So the expected share is

        sum over i = 1 ... R of  2 i / (R (R + 1)) * (1 - (1 - i / (S R))^r).

    For one sample that is (2 / 3 + 1 / (3 R)) / S; for R = 1 it is 1 - (1 - 1 / S)^r: a request of many more samples
    than there are shards saves hardly anything. (Both limits: S&P 2021, analysis of time.) The samples count as drawn
    with replacement, from a training set much larger than the request, and every slice has the same number of epochs.

    Raises:
      ValueError: less than one shard or slice, or a negative number of samples.
    """
    if shards < 1 or slices < 1 or requests < 0:
        raise ValueError(
            f"shards, slices and requests are {shards}, {slices} and {requests}; expected at least 1, 1 and 0"
        )
    i = np.arange(1, slices + 1)
    return float(np.sum(2 * i / (slices * (slices + 1)) * (1 - (1 - i / (shards * slices)) ** requests)))
