"""The attack loop: ask the engine, answer with the victim, tell the engine, until the samples are finished.

`run_fused` is that loop inside one `lax.while_loop` on every device, for a victim that JAX can trace;
`run_from_python` is the same loop for any other. Both work on `slots` unfinished samples at a time: a finished one
leaves, the next moves up, and the shapes stay the same, so a sample's result does not depend on how many others there
are. `attacks/pool.py` keeps the loop fed.
"""

import functools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from overunlearn_jax.attacks._zoo import Zoo
from overunlearn_jax.attacks.zoo_state import Status, ZooState
from overunlearn_jax.batching import apply_predict
from overunlearn_jax.black_box import BadAnswerError, BlackBox, QueryBudgetExceededError
from overunlearn_jax.probing import Answers, probe_images
from overunlearn_jax.types import Array, PredictFn

AXIS = "samples"  # of the device mesh


def _running(state: ZooState) -> Array:
    return state.status == Status.RUNNING


def _rows(state: ZooState, slots: int) -> Array:
    """The first `slots` unfinished samples, shape (slots,); where there are fewer, an index past the end."""
    count = state.status.shape[0]
    return jnp.nonzero(_running(state), size=slots, fill_value=count)[0]


def _take(state: ZooState, rows: Array) -> ZooState:
    return jax.tree.map(lambda leaf: leaf.at[rows].get(mode="clip"), state)


def _put(state: ZooState, rows: Array, part: ZooState) -> ZooState:
    return jax.tree.map(lambda leaf, new: leaf.at[rows].set(new, mode="drop"), state, part)


_jitted_rows = jax.jit(_rows, static_argnames="slots")
_jitted_take = jax.jit(_take)
_jitted_put = jax.jit(_put)


def _loop(
    engine: Zoo,
    answers: Answers,
    slots: int,
    predict: PredictFn,
    state: ZooState,
    max_sample_steps: Array,
    fewest: Array,
) -> ZooState:
    """One device's part: steps until fewer than `fewest` samples are running, or `max_sample_steps` are spent."""

    def go_on(carry: tuple[ZooState, Array]) -> Array:
        state, sample_steps = carry
        running = _running(state).sum()
        return (running >= fewest) & (sample_steps + jnp.minimum(running, slots) <= max_sample_steps)

    def step(carry: tuple[ZooState, Array]) -> tuple[ZooState, Array]:
        # The barrier ties the victim to the step. XLA would else compute what depends on its weights alone (biases
        # spread over whole batches) before the loop and break up its fused network: 1.4 times slower on a CPU.
        victim, (state, sample_steps) = lax.optimization_barrier((predict, carry))
        rows = _rows(state, slots)
        part = _take(state, rows)
        probes = jax.vmap(engine.ask)(part)
        part = jax.vmap(engine.tell)(part, probes, answers(victim, probes))
        sample_steps += (rows < state.status.shape[0]).sum(dtype=jnp.int32)
        return _put(state, rows, part), sample_steps

    return lax.while_loop(go_on, step, (state, jnp.int32(0)))[0]


@partial(jax.jit, static_argnames=("engine", "answers", "slots", "mesh"), donate_argnames="state")
def _fused_loop(
    engine: Zoo,
    answers: Answers,
    slots: int,
    mesh: Mesh,
    predict: PredictFn,
    state: ZooState,
    max_sample_steps: Array,
    fewest: Array,
) -> ZooState:
    everywhere, apart = PartitionSpec(), PartitionSpec(AXIS)
    loop = partial(_loop, engine, answers, slots)
    specs = (everywhere, apart, everywhere, everywhere)
    # The devices never wait for each other: no collective, and each loop ends when its own samples do.
    return jax.shard_map(loop, mesh=mesh, in_specs=specs, out_specs=apart, check_vma=False)(
        predict, state, max_sample_steps, fewest
    )


def run_fused(
    engine: Zoo, black_box: BlackBox, state: ZooState, slots: int, *, fewest: int = 1, mesh: Mesh | None = None
) -> ZooState:
    """Runs until a device has fewer than `fewest` unfinished samples, or the budget ends, inside jit.

    Every device of `mesh` (one device by default) works on its own equal part of the samples, `slots` of them at a
    time: what one call of the victim is asked is `slots * queries_per_step` probes. A budget is shared out evenly and
    ends the run when a device has less left than one step of all slots in use. `state` is used up.
    """
    predict = black_box.fused
    if predict is None:
        raise ValueError("this victim is a Python callable: use run_from_python, or pass a jax.tree_util.Partial")
    mesh = device_mesh(jax.local_devices()[:1]) if mesh is None else mesh
    per_step = engine.settings.queries_per_step
    shape = (slots * per_step, *black_box.spec.image_shape)
    answer = jax.eval_shape(apply_predict, predict, jax.ShapeDtypeStruct(shape, jnp.float32))
    if answer.shape != (shape[0], black_box.spec.num_classes):
        raise BadAnswerError(
            f"the victim answers an array of shape {answer.shape} to {shape[0]} images; expected "
            f"{(shape[0], black_box.spec.num_classes)}: one probability for each class"
        )
    most = jnp.iinfo(jnp.int32).max - slots
    sample_steps = most if black_box.left is None else min(most, black_box.left // per_step // mesh.size)
    predict = jax.device_put(predict, NamedSharding(mesh, PartitionSpec()))  # wherever its arrays were
    before = _total_queries(state)
    answers = black_box.answers(engine.settings.block)
    limits = jnp.int32(sample_steps), jnp.int32(fewest)
    state = _fused_loop(engine, answers, slots, mesh, predict, state, *limits)
    black_box.charge(_total_queries(state) - before)
    return state


def run_from_python(engine: Zoo, black_box: BlackBox, state: ZooState, slots: int, *, fewest: int = 1) -> ZooState:
    """The same loop in Python: only the images of unfinished samples are sent, in batches of the black box's size."""
    ask, tell, images_of = map(_jitted_vmap, (engine.ask, engine.tell, probe_images))
    per_step = engine.settings.queries_per_step
    count = state.status.shape[0]
    while True:
        if (np.asarray(state.status) == Status.RUNNING).sum() < fewest:
            return state
        rows = _jitted_rows(state, slots)
        asking = int((np.asarray(rows) < count).sum())
        if black_box.left is not None and asking * per_step > black_box.left:
            return state
        part = _jitted_take(state, rows)
        probes = ask(part)
        images = np.asarray(images_of(probes))
        sent = images[:asking].reshape(-1, *images.shape[2:])
        try:
            answers = black_box.query(sent).reshape(asking, per_step, -1)
        except QueryBudgetExceededError:  # images sent again to a victim that could not be reached
            return state
        padded = np.concatenate([answers, np.repeat(answers[-1:], slots - asking, axis=0)])
        state = _jitted_put(state, rows, tell(part, probes, padded))


def device_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of one axis, over all local devices by default."""
    devices = jax.local_devices() if devices is None else list(devices)
    return Mesh(np.asarray(devices), (AXIS,))


@functools.lru_cache(maxsize=256)
def _jitted_vmap(function: Callable[..., Any]) -> Callable[..., Any]:
    """One jitted vmap for each function of an engine, so that running the loop again does not trace again."""
    return jax.jit(jax.vmap(function))


def _total_queries(state: ZooState) -> int:
    return int(np.asarray(state.queries, np.int64).sum())
