"""The attack loop: ask the engine, answer with the victim, tell the engine, until every sample is finished.

`run_fused` is that loop inside one `lax.while_loop`, for a victim that JAX can trace; `run_from_python` is the same
loop for any other. Both work on `slots` unfinished samples at a time: a finished one leaves, the next moves up, and
the shapes stay the same, so a sample's result does not depend on how many others there are.
"""

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from overunlearn_jax.attacks.blocks import probe_images
from overunlearn_jax.attacks.zoo import Zoo
from overunlearn_jax.attacks.zoo_state import Status, ZooState
from overunlearn_jax.batching import apply_predict
from overunlearn_jax.black_box import BadAnswerError, BlackBox
from overunlearn_jax.types import Array, PredictFn


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


@partial(jax.jit, static_argnames=("engine", "slots"))
def _fused_loop(engine: Zoo, predict: PredictFn, state: ZooState, max_sample_steps: Array, slots: int) -> ZooState:
    def go_on(carry: tuple[ZooState, Array]) -> Array:
        state, sample_steps = carry
        asking = jnp.minimum(_running(state).sum(), slots)
        return (asking > 0) & (sample_steps + asking <= max_sample_steps)

    def step(carry: tuple[ZooState, Array]) -> tuple[ZooState, Array]:
        state, sample_steps = carry
        rows = _rows(state, slots)
        part = _take(state, rows)
        probes = jax.vmap(engine.ask)(part)
        images = jax.vmap(probe_images)(probes)
        answers = predict(images.reshape(-1, *images.shape[2:]))
        part = jax.vmap(engine.tell)(part, probes, answers.reshape(*images.shape[:2], -1))
        sample_steps += (rows < state.status.shape[0]).sum(dtype=jnp.int32)
        return _put(state, rows, part), sample_steps

    return lax.while_loop(go_on, step, (state, jnp.int32(0)))[0]


def run_fused(engine: Zoo, black_box: BlackBox, state: ZooState, slots: int) -> ZooState:
    """Runs to the end, or to the end of the budget, inside jit.

    `slots` samples are probed in one call of `slots * queries_per_step` images; 1 is best on a CPU. A budget ends the
    run when it has less left than one step of all slots in use.
    """
    predict = black_box.fused
    if predict is None:
        raise ValueError("this victim is a Python callable: use run_from_python, or pass a jax.tree_util.Partial")
    per_step = engine.settings.queries_per_step
    shape = (slots * per_step, *black_box.spec.image_shape)
    answer = jax.eval_shape(apply_predict, predict, jax.ShapeDtypeStruct(shape, jnp.float32))
    if answer.shape != (shape[0], black_box.spec.num_classes):
        raise BadAnswerError(
            f"the victim answers an array of shape {answer.shape} to {shape[0]} images; expected "
            f"{(shape[0], black_box.spec.num_classes)}: one probability for each class"
        )
    most = jnp.iinfo(jnp.int32).max - slots
    sample_steps = most if black_box.left is None else min(most, black_box.left // per_step)
    before = _total_queries(state)
    state = _fused_loop(engine, predict, state, jnp.int32(sample_steps), slots)
    black_box.charge(_total_queries(state) - before)
    return state


def run_from_python(engine: Zoo, black_box: BlackBox, state: ZooState, slots: int) -> ZooState:
    """The same loop in Python: only the images of unfinished samples are sent, in batches of the black box's size."""
    ask, tell, images_of = map(_jitted_vmap, (engine.ask, engine.tell, probe_images))
    per_step = engine.settings.queries_per_step
    count = state.status.shape[0]
    while True:
        rows = _jitted_rows(state, slots)
        asking = int((np.asarray(rows) < count).sum())
        if asking == 0 or (black_box.left is not None and asking * per_step > black_box.left):
            return state
        part = _jitted_take(state, rows)
        probes = ask(part)
        images = np.asarray(images_of(probes))
        sent = images[:asking].reshape(-1, *images.shape[2:])
        answers = black_box.query(sent).reshape(asking, per_step, -1)
        padded = np.concatenate([answers, np.repeat(answers[-1:], slots - asking, axis=0)])
        state = _jitted_put(state, rows, tell(part, probes, padded))


@functools.lru_cache(maxsize=256)
def _jitted_vmap(function: Callable[..., Any]) -> Callable[..., Any]:
    """One jitted vmap for each function of an engine, so that running the loop again does not trace again."""
    return jax.jit(jax.vmap(function))


def _total_queries(state: ZooState) -> int:
    return int(np.asarray(state.queries, np.int64).sum())
