"""Training the slices of one shard."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from overunlearn_jax.models import Model
from overunlearn_jax.training import TrainState, TrainStep, make_train_step
from overunlearn_jax.types import Array, Key, Split, Variables
from overunlearn_jax.unlearn.call import finite
from overunlearn_jax.unlearn.sisa.plan import Assignment, SisaSettings, slice_rows
from overunlearn_jax.unlearn.sisa.store import SliceStore


class SisaProgress(NamedTuple):
    """What a progress display is told after each training step. Places count from 0."""

    shard: int
    slice: int
    epoch: int
    step: int
    steps: int  # in this epoch
    images: int  # trained on in this step
    loss: Array  # shape=(), dtype=float32; not yet computed when it is handed over


OnStep = Callable[[SisaProgress], None]


def fit_shard(
    model: Model,
    split: Split,
    assignment: Assignment,
    settings: SisaSettings,
    key: Key,
    store: SliceStore,
    shard: int,
    finished: tuple[Variables, ...],
    on_step: OnStep | None,
) -> tuple[Variables, ...]:
    """The checkpoints of a shard, one a slice; the first ones are given, the next may be in the store."""
    checkpoints = list(finished)
    like = jax.eval_shape(model.init, key)
    for number in range(len(finished), settings.slices):
        variables = store.load(shard, number, like)
        if variables is None:
            rows = slice_rows(assignment, shard, number)
            start = checkpoints[-1] if checkpoints else None
            variables = _train_slice(model, start, split, rows, settings, key, (shard, number), on_step)
            store.save(shard, number, variables)
        checkpoints.append(variables)
    return tuple(checkpoints)


def _train_slice(
    model: Model,
    start: Variables | None,
    split: Split,
    rows: np.ndarray,
    settings: SisaSettings,
    key: Key,
    place: tuple[int, int],
    on_step: OnStep | None,
) -> Variables:
    """The variables, as host arrays, after AMSGrad on the samples `rows` (m,) from `start`, or from new weights.

    They depend on these samples in this order, the settings, the key, and the shard and slice in `place`; on nothing
    else of the split. Batches are whole, as in `training.fit`: the shuffled rest of an epoch is left out. Fewer samples
    than a batch make one smaller batch, traced once for each such size; no samples leave the weights as they are.
    """
    slice_key = jax.random.fold_in(jax.random.fold_in(key, place[0]), place[1])
    init_key, order_key, dropout_key = jax.random.split(slice_key, 3)
    variables = jax.tree.map(jnp.copy, model.init(init_key) if start is None else start)  # a step donates its state
    optimizer, train_step = _training(model, settings.learning_rate)
    state = TrainState(variables, optimizer.init(variables.params), jnp.int32(0))
    size = min(settings.batch_size, len(rows))
    steps = len(rows) // size if size else 0
    for epoch in range(settings.epochs):
        order = rows[np.asarray(jax.random.permutation(jax.random.fold_in(order_key, epoch), len(rows)))]
        for step in range(steps):
            batch = order[step * size : (step + 1) * size]
            # the batch alone goes in, so that one trace serves slices of every length
            state, loss = train_step(state, split.images[batch], split.labels[batch], np.arange(size), dropout_key)
            if on_step:
                on_step(SisaProgress(*place, epoch, step, steps, size, loss))
    advice = f"take a smaller learning_rate than {settings.learning_rate}"
    return jax.device_get(finite("SISA training", state.variables, advice))


@lru_cache(maxsize=8)
def _training(model: Model, learning_rate: float) -> tuple[optax.GradientTransformation, TrainStep]:
    """One compiled step for all shards, slices and requests."""
    optimizer = optax.amsgrad(learning_rate)
    return optimizer, make_train_step(model, optimizer)
