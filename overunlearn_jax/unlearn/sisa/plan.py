"""Which sample is in which shard and slice."""

from typing import NamedTuple

import jax
import numpy as np

from overunlearn_jax.types import Key


class SisaSettings(NamedTuple):
    """How SISA divides and trains (Bourtoule et al., IEEE S&P 2021, section IV).

    `epochs` are those on each slice together with the slices before it. To spend on a shard what e epochs without
    slices would cost, take 2 e / (slices + 1) of them.
    """

    shards: int = 5
    slices: int = 4
    epochs: int = 10
    learning_rate: float = 1e-3
    batch_size: int = 64


class Assignment(NamedTuple):
    """The place of each training sample; it depends on a key and the number of samples, never on the data."""

    shard: np.ndarray  # shape=(n,), dtype=int32; -1 for a sample that is left out
    slice: np.ndarray  # shape=(n,), dtype=int32


def check_settings(settings: SisaSettings) -> None:
    """Raises ValueError for shards, slices, epochs or a batch size below 1, and a learning rate that is no rate."""
    for name in ("shards", "slices", "epochs", "batch_size"):
        if getattr(settings, name) < 1:
            raise ValueError(f"{name} is {getattr(settings, name)}; expected at least 1")
    if not 0 < settings.learning_rate < np.inf:
        raise ValueError(f"learning_rate is {settings.learning_rate}; expected a finite number above 0")


def assign(key: Key, count: int, settings: SisaSettings) -> Assignment:
    """Shards and slices for `count` samples, drawn at random, in sizes that differ by one at most.

    Raises:
      ValueError: settings below 1 or fewer samples than slices: each is given one at least.
    """
    check_settings(settings)
    shards, slices = settings.shards, settings.slices
    if count < shards * slices:
        raise ValueError(
            f"{count} samples for {shards} shards of {slices} slices; expected at least {shards * slices} samples: "
            "take fewer shards or slices"
        )
    place = np.empty(count, np.int32)
    place[np.asarray(jax.random.permutation(key, count))] = np.arange(count, dtype=np.int32)
    return Assignment(place % shards, place // shards % slices)


def slice_rows(assignment: Assignment, shard: int, last: int) -> np.ndarray:
    """Positions (m,), int64, of the samples in slices 0 ... `last` of a shard: slice after slice, each in order."""
    inside = assignment.shard == shard
    parts = [np.flatnonzero(inside & (assignment.slice == number)) for number in range(last + 1)]
    return np.concatenate(parts).astype(np.int64)


def slice_sizes(assignment: Assignment, settings: SisaSettings) -> np.ndarray:
    """Samples in each slice of each shard: shape=(shards, slices), dtype=int64.

    Raises:
      ValueError: a shard without samples, or a place beyond the settings' shards and slices.
    """
    held = assignment.shard >= 0
    shard, number = assignment.shard[held], assignment.slice[held]
    sizes = np.zeros((settings.shards, settings.slices), np.int64)
    if len(shard) and (shard.max() >= settings.shards or number.min() < 0 or number.max() >= settings.slices):
        raise ValueError(
            f"the assignment has places beyond {settings.shards} shards of {settings.slices} slices; pass the settings "
            "that it was made with"
        )
    np.add.at(sizes, (shard, number), 1)
    if empty := np.flatnonzero(sizes.sum(axis=1) == 0).tolist():
        raise ValueError(
            f"nothing would be left of shards {empty}: a model without data cannot answer. Train anew with fewer shards"
        )
    return sizes
