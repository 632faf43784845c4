"""ZOO coordinate descent (Chen et al. 2017) as three pure functions of one sample: init, ask, tell.

    engine = zoo(settings)
    state = start(engine, key, ids, images, labels, targets, num_classes)  # a batch: vmap of engine.init
    probes = jax.vmap(engine.ask)(state)  # what to send: one changed block of pixels a probe
    state = jax.vmap(engine.tell)(state, probes, probabilities)

`attacks/search.py` holds the loop. Along the way x_0, x_1, ... every state keeps the last image that is still predicted
as the label (`inside`) and the first that is at the goal (`outside`): Pushing-I and Pushing-II.
"""

import enum
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from overunlearn_jax.attacks import coordinate, criteria, spaces
from overunlearn_jax.types import Array, Bounds, Images, Key, Labels

SMALLEST_NEWTON_DIFFERENCE = 5e-3  # rounding of 1e-6 in the loss, over h^2, stays below the smallest curvature
SMALLEST_IMPORTANCE = 1e-3  # of the largest: every coordinate keeps a chance
SMALLEST_MOVE = 1e-5  # of the pixel range: what moved less did so by rounding


class Status(enum.IntEnum):
    """Where a sample's search stands. Only CROSSED is a pushed sample."""

    RUNNING = 0  # not finished: the query budget ran out first
    CROSSED = 1
    SKIPPED = 2  # the victim did not predict the label to begin with
    STALLED = 3  # the loss stopped falling
    OUT_OF_STEPS = 4
    TOO_FAR = 5  # crossed, farther from the original than max_l2


class ZooSettings(NamedTuple):
    """The paper's settings by default; hashable, so that equal settings share one compiled engine."""

    bounds: Bounds
    targeted: bool = False
    solver: str = "adam"  # or "newton"
    space: str = "tanh"  # or "box"
    coordinates: int = 128  # p, probed a step
    step_size: float = 1e-2
    difference: float = 1e-4  # h, in the units of the space
    margin_weight: float = 10.0  # c of equation (4)
    kappa: float = 0.0
    max_steps: int = 20_000
    max_l2: float = 20.0
    stall_steps: int = 100  # the loss is looked at this often ...
    stall_ratio: float = 0.9999  # ... and has to have fallen below this much of the last look
    importance: bool = False  # draw coordinates near those that moved most more often
    block: int = 1  # side of the square of pixels that one coordinate stands for

    @property
    def queries_per_step(self) -> int:
        """Images a step: the iterate, and two for each coordinate."""
        return 1 + 2 * self.coordinates


class Probes(NamedTuple):
    """What one step asks of the victim for one sample: the image itself, and the image with one block changed."""

    image: Array  # shape=(h, w, c)
    corners: Array  # shape=(p, 3), dtype=int32: row, column, channel where each block begins
    blocks: Array  # shape=(p, 2, b, b): its pixels at +h and at -h


class ZooState(NamedTuple):
    """One sample's search; batched, every array gains a leading axis."""

    key: Key  # shape=()
    original: Array  # shape=(h, w, c)
    label: Array  # shape=(), dtype=int32
    target: Array  # shape=(), dtype=int32; the label itself when untargeted
    variable: Array  # shape=(h, w, c): the iterate in the search space
    solver: coordinate.CoordinateState
    inside: Array  # shape=(h, w, c): the last iterate predicted as the label
    outside: Array  # shape=(h, w, c): the first iterate at the goal; the original until then
    first_probabilities: Array  # shape=(k,): of the original
    inside_probabilities: Array  # shape=(k,)
    outside_probabilities: Array  # shape=(k,)
    reference_loss: Array  # shape=(): at the last look for a stall
    step: Array  # shape=(), dtype=int32
    last_step: Array  # shape=(), dtype=int32: the step at which the sample runs out of steps
    queries: Array  # shape=(), dtype=int32
    status: Array  # shape=(), dtype=int32: a Status


class Zoo(NamedTuple):
    """The engine for one set of settings. The functions take one sample: batch them with `jax.vmap`."""

    settings: ZooSettings
    init: Callable[[Key, Array, Array, Array, int], ZooState]
    ask: Callable[[ZooState], Probes]
    tell: Callable[[ZooState, Probes, Array], ZooState]


@functools.lru_cache(maxsize=64)
def zoo(settings: ZooSettings) -> Zoo:
    """The pure functions of one search. Equal settings give the same object, so nothing is traced twice."""
    space = _named("space", {"tanh": spaces.tanh_space, "box": spaces.box_space}, settings.space)(settings.bounds)
    solvers: dict[str, Callable[..., Any]] = {"adam": coordinate.adam, "newton": coordinate.newton}
    solver = _named("solver", solvers, settings.solver)(learning_rate=settings.step_size)
    criterion = criteria.targeted(settings.kappa) if settings.targeted else criteria.untargeted(settings.kappa)
    block, h = settings.block, settings.difference
    _check(settings)

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
            status=jnp.int32(Status.RUNNING),
        )

    def ask_fn(state: ZooState) -> Probes:
        image = space.to_image(state.variable)
        corners = _choose(state, jnp.abs(image - state.original), settings)
        variables = _blocks_at(state.variable, corners, block)
        signs = jnp.array([1.0, -1.0])[None, :, None, None]
        return Probes(image, corners, space.to_image(variables[:, None] + signs * h))

    def tell_fn(state: ZooState, probes: Probes, probabilities: Array) -> ZooState:
        margins = jax.vmap(criterion.margin, (0, None, None))(probabilities, state.label, state.target)
        here, around = margins[0], margins[1:].reshape(-1, 2)
        l2 = jnp.sqrt(jnp.sum((probes.image - state.original) ** 2))
        loss = l2**2 + settings.margin_weight * here

        # The L2 term of a probe differs from the iterate's in its block only: no cancellation in float32.
        old = _blocks_at(state.original, probes.corners, block)[:, None]
        now = _blocks_at(probes.image, probes.corners, block)[:, None]
        l2_changes = jnp.sum((probes.blocks - old) ** 2 - (now - old) ** 2, axis=(2, 3))
        changes = l2_changes + settings.margin_weight * (around - here)  # loss of each probe minus loss here
        first = (changes[:, 0] - changes[:, 1]) / (2 * h)
        second = (changes[:, 0] + changes[:, 1]) / h**2
        coordinates = _flat_index(probes.corners, state.original.shape, block)
        moves, solver_state = solver.update(state.solver, coordinates, first, second)
        variable = space.project(_move_blocks(state.variable, coordinates, moves, block))

        look = state.step % settings.stall_steps == 0
        stalled = look & (loss >= settings.stall_ratio * state.reference_loss)
        is_label = jnp.argmax(probabilities[0]) == state.label
        crossed = criterion.crossed(probabilities[0], state.label, state.target)
        status = jnp.int32(Status.RUNNING)
        status = jnp.where(state.step + 1 >= state.last_step, Status.OUT_OF_STEPS, status)
        status = jnp.where(stalled, Status.STALLED, status)
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
            status=status.astype(jnp.int32),
        )

    return Zoo(settings, init_fn, ask_fn, tell_fn)


def start(
    engine: Zoo, key: Key, ids: Array | np.ndarray, images: Images, labels: Labels, targets: Labels, num_classes: int
) -> ZooState:
    """The batched first state. Each sample's key comes from its id alone, never from its place in the batch."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.asarray(ids, jnp.uint32))
    init = jax.vmap(engine.init, (0, 0, 0, 0, None))
    return init(keys, jnp.asarray(images), jnp.asarray(labels, jnp.int32), jnp.asarray(targets, jnp.int32), num_classes)


def probe_images(probes: Probes) -> Array:
    """All images of one sample's probes, shape (1 + 2p, h, w, c): the iterate, then +h and -h of each coordinate."""

    def changed(corner: Array, pixels: Array) -> Array:
        return lax.dynamic_update_slice(probes.image, pixels[..., None], tuple(corner))

    images = jax.vmap(jax.vmap(changed, (None, 0)))(probes.corners, probes.blocks)
    return jnp.concatenate([probes.image[None], images.reshape(-1, *probes.image.shape)])


def check_blocks(settings: ZooSettings, image_shape: tuple[int, ...], block_sizes: tuple[int, ...]) -> None:
    """Raises ValueError unless every block size tiles the images and leaves enough coordinates to probe."""
    height, width, channels = image_shape
    if not block_sizes:
        raise ValueError("block_sizes is empty; expected at least one side of a block in pixels, (1,) by default")
    for block in block_sizes:
        if block < 1 or height % block or width % block:
            raise ValueError(f"blocks of {block} pixels do not tile images of {height}x{width}: take a divisor of both")
        size = (height // block) * (width // block) * channels
        if settings.coordinates > size:
            raise ValueError(
                f"{settings.coordinates} coordinates a step, but images of {image_shape} in blocks of {block} have "
                f"only {size}: take fewer coordinates or smaller blocks"
            )


def _check(settings: ZooSettings) -> None:
    for name in ("coordinates", "max_steps", "stall_steps"):
        if getattr(settings, name) < 1:
            raise ValueError(f"{name} is {getattr(settings, name)}; expected at least 1")
    if not settings.difference > 0:
        raise ValueError(f"difference is {settings.difference}; expected a positive h for the finite differences")
    if settings.solver == "newton" and settings.difference < SMALLEST_NEWTON_DIFFERENCE:
        raise ValueError(
            f"difference is {settings.difference}: in float32 a second difference that fine is rounding, and "
            "ZOO-Newton divides by it; take about 1e-2"
        )


def _named(kind: str, known: dict[str, Callable[..., Any]], name: str) -> Callable[..., Any]:
    if name not in known:
        raise ValueError(f"{kind} is {name!r}; expected one of {', '.join(known)}")
    return known[name]


def _choose(state: ZooState, moved: Array, settings: ZooSettings) -> Array:
    """Corners (p, 3) of the blocks to probe in this step, drawn without replacement."""
    height, width, channels = state.original.shape
    grid = (height // settings.block, width // settings.block, channels)
    key = jax.random.fold_in(state.key, state.step)
    scores = jax.random.gumbel(key, grid)
    if settings.importance:
        window = (3 * settings.block, 3 * settings.block, 1)
        pooled = lax.reduce_window(moved, -jnp.inf, lax.max, window, (settings.block, settings.block, 1), "SAME")
        smallest_move = SMALLEST_MOVE * (settings.bounds.upper - settings.bounds.lower)
        scores += jnp.log(jnp.maximum(pooled, jnp.maximum(smallest_move, SMALLEST_IMPORTANCE * pooled.max())))
    _, chosen = lax.top_k(scores.reshape(-1), settings.coordinates)
    row, column, channel = jnp.unravel_index(chosen, grid)
    return jnp.stack([row * settings.block, column * settings.block, channel], axis=-1)


def _flat_index(corners: Array, shape: tuple[int, ...], block: int) -> Array:
    columns = shape[1] // block
    return ((corners[:, 0] // block) * columns + corners[:, 1] // block) * shape[2] + corners[:, 2]


def _block_at(image: Array, corner: Array, block: int) -> Array:
    return lax.dynamic_slice(image, tuple(corner), (block, block, 1))[..., 0]


def _blocks_at(image: Array, corners: Array, block: int) -> Array:
    """Pixels (p, b, b) of the blocks that begin at `corners`."""
    return jax.vmap(lambda corner: _block_at(image, corner, block))(corners)


def _move_blocks(variable: Array, coordinates: Array, moves: Array, block: int) -> Array:
    height, width, channels = variable.shape
    grid = (height // block, width // block, channels)
    change = jnp.zeros(grid).reshape(-1).at[coordinates].set(moves).reshape(grid)
    return variable + jnp.repeat(jnp.repeat(change, block, axis=0), block, axis=1)
