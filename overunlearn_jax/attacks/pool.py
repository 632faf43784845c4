"""Keeps the attack loop fed: a few samples on the devices, the others waiting, the finished ones on the host.

The memory that a search takes depends on `slots` and on the number of devices, not on the number of samples.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from overunlearn_jax.attacks._zoo import Zoo, start
from overunlearn_jax.attacks.search import AXIS, run_from_python, run_fused
from overunlearn_jax.attacks.zoo_state import Status, ZooState
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.types import Array, Key

ROWS_PER_SLOT = 4  # samples held for each one that is being probed: the host is asked for more that much less often

PROBABILITIES = ("first_probabilities", "inside_probabilities", "outside_probabilities")
KEPT = ("status", "inside", "outside", *PROBABILITIES, "step", "queries")  # of a finished sample


class Samples(NamedTuple):
    """What is to be searched, on the host."""

    images: np.ndarray  # shape=(n, h, w, c), dtype=float32
    labels: np.ndarray  # shape=(n,), dtype=int32
    targets: np.ndarray  # shape=(n,), dtype=int32
    ids: np.ndarray  # shape=(n,): what each sample's random numbers come from


Finished = Callable[[np.ndarray, dict[str, np.ndarray]], None]  # positions of the samples, and what is `KEPT` of them


def search_all(
    engines: Sequence[Zoo], black_box: BlackBox, key: Key, samples: Samples, slots: int, mesh: Mesh, finished: Finished
) -> None:
    """Runs every sample through the engines in turn; each goes on with what the last left unfinished.

    Calls `finished` whenever some samples are through, in the order in which they end. Samples that the budget does
    not reach, or does not suffice for, are handed over last, as RUNNING.
    """
    settings = engines[0].settings
    count, rows = len(samples.labels), mesh.size * slots * ROWS_PER_SLOT
    run = partial(run_fused, mesh=mesh) if black_box.fused is not None else run_from_python
    sharding = NamedSharding(mesh, PartitionSpec(AXIS))
    turn = np.arange(rows).reshape(mesh.size, -1).T.reshape(-1)  # one row of each device after the other
    occupant = np.full(rows, -1)  # which sample sits in each row
    waiting = 0
    state: ZooState | None = None
    while True:
        free = turn[occupant[turn] < 0][: count - waiting]
        occupant[free] = np.arange(waiting, waiting + len(free))
        waiting += len(free)
        if (occupant < 0).all():
            return
        fresh = np.zeros(rows, bool)
        fresh[free] = True
        put = partial(jax.device_put, device=sharding)
        new = [put(each[occupant]) for each in samples]  # an empty row holds some sample, finished
        if len(engines) > 1:
            state = None  # every row has ended, with the memory of another grid
        state = _filled(engines[0], black_box.spec.num_classes, key, state, put(fresh), *new)
        stream = waiting < count and len(engines) == 1
        spent = black_box.queries
        for index, engine in enumerate(engines):
            if index:
                state = _refined(engine, state, settings.max_steps)
            state = run(engine, black_box, state, slots, fewest=slots if stream else 1)
        ended = (occupant >= 0) & (np.asarray(state.status) != Status.RUNNING)
        unfinished = bool(((occupant >= 0) & ~ended).any())
        if black_box.queries == spent or (len(engines) > 1 and unfinished):  # the budget allows no more
            _hand_over(state, occupant, occupant >= 0, finished)
            _hand_over_untouched(samples, waiting, black_box.spec.num_classes, finished)
            return
        _hand_over(state, occupant, ended, finished)
        occupant[ended] = -1


@partial(jax.jit, static_argnames=("engine", "num_classes"), donate_argnames="state")
def _filled(
    engine: Zoo,
    num_classes: int,
    key: Key,
    state: ZooState | None,
    fresh: Array,
    images: Array,
    labels: Array,
    targets: Array,
    ids: Array,
) -> ZooState:
    """The rows of `state`, and new searches where `fresh`; without a state, the other rows are finished."""
    new = start(engine, key, ids, images, labels, targets, num_classes)
    if state is None:
        return new._replace(status=jnp.where(fresh, new.status, Status.SKIPPED).astype(new.status.dtype))

    def choose(one: Array, other: Array) -> Array:
        return jnp.where(fresh.reshape(-1, *[1] * (one.ndim - 1)), one, other)

    return jax.tree.map(choose, new, state)


@partial(jax.jit, static_argnames=("engine",))
def _refined(engine: Zoo, state: ZooState, max_steps: int) -> ZooState:
    """Unfinished samples go on from where they are, on a grid of their own; the others stay finished."""
    unfinished = jnp.isin(state.status, jnp.array([Status.STALLED, Status.OUT_OF_STEPS, Status.SAW_NOTHING]))
    again = jax.vmap(engine.restart)(state)
    status = jnp.where(unfinished, Status.RUNNING, state.status).astype(state.status.dtype)
    return again._replace(status=status, last_step=state.step + max_steps)


def _hand_over(state: ZooState, occupant: np.ndarray, chosen: np.ndarray, finished: Finished) -> None:
    if chosen.any():
        finished(occupant[chosen], {name: np.asarray(getattr(state, name))[chosen] for name in KEPT})


def _hand_over_untouched(samples: Samples, begin: int, num_classes: int, finished: Finished) -> None:
    rest = np.arange(begin, len(samples.labels))
    if len(rest):
        nothing, none = np.zeros((len(rest), num_classes), np.float32), np.zeros(len(rest), np.int32)
        kept: list[Any] = [none, samples.images[rest], samples.images[rest], nothing, nothing, nothing, none, none]
        finished(rest, dict(zip(KEPT, kept, strict=True)))
