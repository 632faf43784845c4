"""ZOO coordinate descent (Chen et al. 2017) as three pure functions of one sample: init, ask, tell.

    engine = zoo(settings)
    state = start(engine, key, ids, images, labels, targets, num_classes)  # a batch: vmap of engine.init
    probes = jax.vmap(engine.ask)(state)  # what to send: one changed block of pixels a probe
    state = jax.vmap(engine.tell)(state, probes, probabilities)

`attacks/search.py` holds the loop. Along the way x_0, x_1, ... every state keeps the last image that is still predicted
as the label (`inside`) and the first that is at the goal (`outside`): Pushing-I and Pushing-II.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.attacks import coordinate, criteria, differences, spaces
from overunlearn_jax.attacks.blocks import blocks_at, choose_blocks, flat_index, spread_over_blocks
from overunlearn_jax.attacks.zoo_state import (
    FEWEST_TELLING,
    Status,
    ZooSettings,
    ZooState,
    check_blocks,
    check_settings,
)
from overunlearn_jax.probing import Probes
from overunlearn_jax.types import Array, Images, Key, Labels


class Zoo(NamedTuple):
    """The engine for one set of settings. The functions take one sample: batch them with `jax.vmap`."""

    settings: ZooSettings
    init: Callable[[Key, Array, Array, Array, int], ZooState]
    ask: Callable[[ZooState], Probes]
    tell: Callable[[ZooState, Probes, Array], ZooState]
    restart: Callable[[ZooState], ZooState]  # the optimiser's memory made new, for a grid of other blocks


@functools.lru_cache(maxsize=64)
def zoo(settings: ZooSettings) -> Zoo:
    """The pure functions of one search. Equal settings give the same object, so nothing is traced twice.

    Raises:
      ValueError: settings with which no search can be run (`check_settings`) or a name that is not known.

    References:
      Chen et al., AISec 2017; Hu et al., NDSS 2024, equations (4) and (5).
    """
    check_settings(settings)
    space = _named("space", {"tanh": spaces.tanh_space, "box": spaces.box_space}, settings.space)(settings.bounds)
    if settings.levels:
        space = spaces.lattice_space(settings.bounds, settings.levels)
    solvers: dict[str, Callable[..., Any]] = {
        "adam": coordinate.adam,
        "newton": coordinate.newton,
        "sega": coordinate.sega,
    }
    solver = _named("solver", solvers, settings.solver)(learning_rate=settings.step_size)
    criterion = criteria.targeted(settings.kappa) if settings.targeted else criteria.untargeted(settings.kappa)
    h, bounds, block = settings.difference, settings.bounds, settings.block
    difference = differences.one_sided(h, bounds) if settings.one_sided else differences.central(h)

    def init_fn(key: Key, image: Array, label: Array, target: Array, num_classes: int) -> ZooState:
        check_blocks(settings, image.shape, (block,))
        size = image.size // block**2
        nothing = jnp.zeros(num_classes)
        return ZooState(
            key=key,
            original=image,
            label=label,
            target=target,
            variable=space.from_image(image),
            solver=solver.init(size),
            inside=image,
            outside=image,
            first_probabilities=nothing,
            inside_probabilities=nothing,
            outside_probabilities=nothing,
            reference_loss=jnp.float32(jnp.inf),
            step=jnp.int32(0),
            last_step=jnp.int32(settings.max_steps),
            queries=jnp.int32(0),
            told=jnp.int32(0),
            status=jnp.int32(Status.RUNNING),
        )

    def ask_fn(state: ZooState) -> Probes:
        image = space.to_image(state.variable)
        corners = choose_blocks(state, jnp.abs(image - state.original), settings)
        variables = blocks_at(space.around(state.variable, image), corners, block)
        offsets = difference.offsets(blocks_at(image, corners, block))
        return Probes(image, corners, space.to_image(variables[:, None] + offsets[..., None, None]))

    def tell_fn(state: ZooState, probes: Probes, probabilities: Array) -> ZooState:
        margins = jax.vmap(criterion.margin, (0, None, None))(probabilities, state.label, state.target)
        here, around = margins[0], margins[1:].reshape(-1, difference.probes)
        l2 = jnp.sqrt(jnp.sum((probes.image - state.original) ** 2))
        loss = l2**2 + settings.margin_weight * here

        # The L2 term of a probe differs from the iterate's in its block only: no cancellation in float32.
        old = blocks_at(state.original, probes.corners, block)[:, None]
        now = blocks_at(probes.image, probes.corners, block)
        l2_changes = jnp.sum((probes.blocks - old) ** 2 - (now[:, None] - old) ** 2, axis=(2, 3))
        changes = l2_changes + settings.margin_weight * (around - here)  # loss of each probe minus loss here
        first, second = difference.estimate(changes, difference.offsets(now))
        coordinates = flat_index(probes.corners, state.original.shape, block)
        moves, solver_state = solver.update(state.solver, coordinates, first, second)
        variable = space.project(state.variable + spread_over_blocks(moves, state.original.shape, block))

        differ = jnp.any(jnp.abs(probabilities[1:] - probabilities[0]) > settings.resolution, axis=-1)
        told, steps = state.told + differ.sum(dtype=jnp.int32), state.step + 1 - (state.last_step - settings.max_steps)
        blind = (steps >= settings.blind_steps) & (told < FEWEST_TELLING * steps * len(differ))
        look = state.step % settings.stall_steps == 0
        stalled = look & (loss >= settings.stall_ratio * state.reference_loss)
        is_label = jnp.argmax(probabilities[0]) == state.label
        crossed = criterion.crossed(probabilities[0], state.label, state.target)
        status = jnp.int32(Status.RUNNING)
        status = jnp.where(state.step + 1 >= state.last_step, Status.OUT_OF_STEPS, status)
        status = jnp.where(stalled, Status.STALLED, status)
        status = jnp.where(blind, Status.SAW_NOTHING, status)
        status = jnp.where(crossed, jnp.where(l2 > settings.max_l2, Status.TOO_FAR, Status.CROSSED), status)
        status = jnp.where((state.step == 0) & ~is_label, Status.SKIPPED, status)
        return state._replace(
            variable=variable,
            solver=solver_state,
            inside=jnp.where(is_label, probes.image, state.inside),
            outside=jnp.where(crossed, probes.image, state.outside),
            first_probabilities=jnp.where(state.step == 0, probabilities[0], state.first_probabilities),
            inside_probabilities=jnp.where(is_label, probabilities[0], state.inside_probabilities),
            outside_probabilities=jnp.where(crossed, probabilities[0], state.outside_probabilities),
            reference_loss=jnp.where(look, loss, state.reference_loss),
            step=state.step + 1,
            queries=state.queries + settings.queries_per_step,
            told=told,
            status=status.astype(jnp.int32),
        )

    def restart_fn(state: ZooState) -> ZooState:
        size = state.original.size // block**2
        unknown = jnp.float32(jnp.inf)
        return state._replace(solver=solver.init(size), reference_loss=unknown, told=jnp.zeros_like(state.told))

    return Zoo(settings, init_fn, ask_fn, tell_fn, restart_fn)


def start(
    engine: Zoo, key: Key, ids: Array | np.ndarray, images: Images, labels: Labels, targets: Labels, num_classes: int
) -> ZooState:
    """The batched first state. Each sample's key comes from its id alone, never from its place in the batch.

    Args:
      engine: made by `zoo`.
      key: of all samples.
      ids: shape=(n,), integers in 0 ... 2**32 - 1, one a sample.
      images: shape=(n, h, w, c), dtype=float32, inside the bounds.
      labels: shape=(n,), integers: what the images are predicted as.
      targets: shape=(n,), integers: the class to push to; the labels where the push has no target.
      num_classes: k.

    Returns:
      A state whose arrays have a leading axis of n samples.
    """
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.asarray(ids, jnp.uint32))
    init = jax.vmap(engine.init, (0, 0, 0, 0, None))
    labels, targets = jnp.asarray(labels, jnp.int32), jnp.asarray(targets, jnp.int32)
    state = init(keys, jnp.asarray(images), labels, targets, num_classes)
    return jax.tree.map(jnp.copy, state)  # no two arrays in one buffer: the loop takes the buffers over


def _named(kind: str, known: dict[str, Callable[..., Any]], name: str) -> Callable[..., Any]:
    if name not in known:
        raise ValueError(f"{kind} is {name!r}; expected one of {', '.join(known)}")
    return known[name]
