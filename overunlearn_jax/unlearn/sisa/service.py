"""Training SISA, and forgetting exactly."""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from overunlearn_jax.models import Model
from overunlearn_jax.types import Key, Split, Variables
from overunlearn_jax.unlearn.matching import check_rows
from overunlearn_jax.unlearn.sisa.cost import Redone, first_touched, redone
from overunlearn_jax.unlearn.sisa.plan import Assignment, SisaSettings, assign, check_settings, slice_sizes
from overunlearn_jax.unlearn.sisa.slices import OnStep, fit_shard
from overunlearn_jax.unlearn.sisa.store import SliceStore


class Sisa(NamedTuple):
    """A trained service: every checkpoint, and the place of every sample that it was trained on."""

    checkpoints: tuple[tuple[Variables, ...], ...]  # [shard][slice], host arrays; a shard's last are its weights
    assignment: Assignment  # of the n samples of the split


def fit_sisa(
    model: Model,
    split: Split,
    settings: SisaSettings,
    key: Key,
    *,
    assignment: Assignment | None = None,
    directory: str | Path | None = None,
    on_step: OnStep | None = None,
) -> Sisa:
    """Trains `model` on every slice of every shard of `split` (n samples).

    The optimiser (AMSGrad, as in `training.fit`) starts anew with each slice, so that weights are all there is to keep.
    There is no validation: the last weights of a slice count. What is random in a slice follows from `key`, its shard
    and its number alone.

    Args:
      model: of each shard.
      split: the training data.
      settings: see `SisaSettings`.
      key: decides the assignment, the first weights, the order of the samples and dropout.
      assignment: the place of each sample; drawn by `assign` if None.
      directory: keeps each finished slice; training that was killed goes on after the last one and ends with the same
        bits. Other settings and keys may share it; other models and data sets need one of their own.
      on_step: told of each training step.

    Raises:
      ValueError: settings below 1, too few samples, a shard without samples, an assignment for another number of
        samples, labels that the model does not know, and training that diverged.
      CheckpointError: a damaged checkpoint.
    """
    check_settings(settings)
    assign_key, train_key = jax.random.split(key)
    place = assign(assign_key, len(split.labels), settings) if assignment is None else assignment
    _check_samples(model, split, place, train_key)
    slice_sizes(place, settings)
    store = SliceStore(directory, split, place, settings, train_key)
    common = (model, split, place, settings, train_key, store)
    return Sisa(tuple(fit_shard(*common, shard, (), on_step) for shard in range(settings.shards)), place)


def forget(
    model: Model,
    sisa: Sisa,
    split: Split,
    rows: np.ndarray,
    settings: SisaSettings,
    key: Key,
    *,
    directory: str | Path | None = None,
    on_step: OnStep | None = None,
) -> tuple[Sisa, Redone]:
    """The service without some samples, and what that cost.

    With the `key` that `fit_sisa` was given, the result is bit for bit what `fit_sisa` gives on `without(split, rows)`
    with the assignment of the samples that are left (on a GPU where XLA's kernels are deterministic). Checkpoints from
    before the first touched slice of a shard are handed on as they are. `expected_work_share` is the cost to expect.
    The new service counts the samples that are left: its next call is given `without(split, rows)`.

    The guarantee is for a request that does not depend on the models. Who chooses samples by what the service answers
    also chooses by the assignment (Gupta et al., "Adaptive Machine Unlearning", NeurIPS 2021).

    With the `directory` of `fit_sisa`, weights of these settings and this key that have seen a forgotten sample are
    deleted from it before anything is trained; after a kill, the same call goes on where it was. What the directory
    holds of other keys or settings stays: forget with each.

    Args:
      model: of every shard.
      sisa: as `fit_sisa` or the last call left it.
      split: the n samples that it counts.
      rows: shape=(m,), integers in 0 ... n - 1: positions of the samples to forget.
      settings: those of `fit_sisa`.
      key: of the training.
      directory: where checkpoints lie; None: nowhere.
      on_step: told of each step.

    Raises:
      ValueError: no rows or rows outside the split, a `sisa` of other settings or samples, where nothing would be left
        of a shard, and where training diverged.
      CheckpointError: a damaged checkpoint.

    References:
      Bourtoule et al., IEEE S&P 2021.
    """
    check_settings(settings)
    rows = check_rows(rows, len(split.labels))
    if len(rows) == 0:
        raise ValueError("no rows are given: there is nothing to forget")
    if [len(shard) for shard in sisa.checkpoints] != [settings.slices] * settings.shards:
        raise ValueError(
            f"this service has {len(sisa.checkpoints)} shards of {len(sisa.checkpoints[0])} slices, the settings "
            f"{settings.shards} of {settings.slices}; pass those that fit_sisa was given"
        )
    _, train_key = jax.random.split(key)
    _check_samples(model, split, sisa.assignment, train_key)
    shard = sisa.assignment.shard.copy()
    shard[rows] = -1
    place = sisa.assignment._replace(shard=shard)
    first = first_touched(sisa.assignment, rows, settings)
    cost = redone(place, first, settings)
    store = SliceStore(directory, split, place, settings, train_key)
    store.delete_others()
    common = (model, split, place, settings, train_key, store)
    checkpoints = tuple(
        fit_shard(*common, shard, finished[:number], on_step)
        for shard, (finished, number) in enumerate(zip(sisa.checkpoints, first, strict=True))
    )
    left = Assignment(*(np.delete(part, rows) for part in sisa.assignment))
    return Sisa(checkpoints, left), cost


def _check_samples(model: Model, split: Split, place: Assignment, key: Key) -> None:
    """Raises ValueError where assignment, samples and model do not fit together."""
    count = len(split.labels)
    if place.shard.shape != (count,) or place.slice.shape != (count,):
        raise ValueError(
            f"the assignment is for {len(place.shard)} samples, the split has {count}; after forget, pass what is left "
            "of the split: without(split, rows)"
        )
    logits = jax.eval_shape(lambda k, x: model.apply(model.init(k), x, None)[0], key, split.images[:1])
    if split.labels.min() < 0 or split.labels.max() >= logits.shape[-1]:
        raise ValueError(
            f"labels lie in {split.labels.min()} ... {split.labels.max()}; expected 0 ... {logits.shape[-1] - 1}"
        )
