"""Pushing-I and Pushing-II (equations 2 to 8): both images of one trajectory to the decision boundary."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from overunlearn_jax.attacks import processes
from overunlearn_jax.attacks._zoo import zoo
from overunlearn_jax.attacks.pool import PROBABILITIES, Samples, search_all
from overunlearn_jax.attacks.search import device_mesh
from overunlearn_jax.attacks.zoo_state import Status, ZooSettings, check_settings
from overunlearn_jax.black_box import BlackBox, check_images, check_probabilities
from overunlearn_jax.labels import check_labels
from overunlearn_jax.types import Key

QUERIES_PER_CALL = {"cpu": 257, "other": 32 * 257}  # by device


class PushResult(NamedTuple):
    """What became of each sample, on the host. `inside` and `outside` mean something only where `crossed`."""

    status: np.ndarray  # shape=(n,), dtype=int32: a `Status`
    inside: np.ndarray  # shape=(n, h, w, c), dtype=float32: Pushing-I, still predicted as the label
    outside: np.ndarray  # shape=(n, h, w, c), dtype=float32: Pushing-II, just across
    l2_inside: np.ndarray  # shape=(n,), dtype=float32: distance to the original
    l2_outside: np.ndarray  # shape=(n,), dtype=float32
    first_probabilities: np.ndarray  # shape=(n, k), dtype=float32: of the original
    inside_probabilities: np.ndarray  # shape=(n, k), dtype=float32
    outside_probabilities: np.ndarray  # shape=(n, k), dtype=float32
    steps: np.ndarray  # shape=(n,), dtype=int32: evaluated iterates, the last one included
    queries: np.ndarray  # shape=(n,), dtype=int32: images sent to the victim

    @property
    def crossed(self) -> np.ndarray:
        """Which samples were pushed: shape (n,), dtype bool."""
        return self.status == Status.CROSSED


def push(
    black_box: BlackBox,
    images: np.ndarray,
    labels: np.ndarray,
    settings: ZooSettings,
    key: Key,
    *,
    ids: np.ndarray | None = None,
    targets: np.ndarray | None = None,
    block_sizes: tuple[int, ...] = (1,),
    slots: int | None = None,
    devices: Sequence[jax.Device] | None = None,
    on_finished: Callable[[np.ndarray, PushResult], None] | None = None,
) -> PushResult:
    """Walks every image to the decision boundary by zeroth-order queries.

    With several processes (`jax.distributed`) each calls this with the same arguments, pushes its share of the samples
    on its own devices, and returns all results.

    Args:
      black_box: the victim; a `jax.tree_util.Partial` behind it is run fused, anything else from Python.
      images: shape (n, h, w, c), inside the victim's bounds.
      labels: shape (n,), the class that each image is to leave. Images that the victim does not predict so are SKIPPED.
      settings: of the engine; `settings.targeted` asks for `targets`. Where an image has fewer coordinates than
        `settings.coordinates`, all are probed in every step.
      key: of the search; sample i draws from `fold_in(key, ids[i])`, whatever else is in the batch.
      ids: shape (n,), not negative; 0 ... n - 1 by default.
      targets: shape (n,), the class to reach, another than the label; targeted pushes only.
      block_sizes: coarse to fine: each size in turn walks on what the last left unfinished (stalled or out of steps),
        with `settings.max_steps` steps of its own. (1,) is the paper's search.
      slots: samples probed in one call of the victim on each device, `default_slots` by default; sets how much memory
        the search takes.
      devices: a fused victim's samples are divided among them; all local devices by default.
      on_finished: called with the positions of samples that have just ended, and with what became of them: to save
        them, or to show progress. Every process hears of its own samples.

    Raises:
      ValueError: images, labels or targets that do not fit the victim or each other, blocks that do not tile the
        images, or settings with which no search can be run; nothing is sent then.

    References:
      Hu et al., NDSS 2024: Pushing-I and Pushing-II.
    """
    spec = black_box.spec
    images = check_images(spec, images)
    labels = check_labels("labels", labels, len(images), spec.num_classes)
    if settings.targeted != (targets is not None):
        raise ValueError(f"settings.targeted is {settings.targeted}, and targets are {'not ' * (targets is None)}given")
    targets = labels if targets is None else check_labels("targets", targets, len(images), spec.num_classes)
    if settings.targeted and (targets == labels).any():
        raise ValueError("a target equals its sample's label: a targeted push goes to another class")
    ids = np.arange(len(images)) if ids is None else check_ids(ids, len(images))
    check_settings(settings)
    if not block_sizes:
        raise ValueError("block_sizes is empty; expected at least one side of a block in pixels, (1,) by default")
    engines = [zoo(settings._replace(block=block).fitted(spec.image_shape)) for block in block_sizes]
    if slots is None:
        most = max(engine.settings.queries_per_step for engine in engines)
        slots = default_slots(most, budgeted=black_box.left is not None)
    if slots < 1:
        raise ValueError(f"slots is {slots}; expected at least one sample in a call")
    mesh = device_mesh(devices if black_box.fused is not None else jax.local_devices()[:1])
    samples = Samples(images, labels, targets, ids.astype(np.uint32))

    own = processes.own_share()
    own_samples = Samples(*(each[own] for each in samples))
    own_positions = np.arange(len(images))[own]
    service = processes.own_black_box(black_box)
    result = _empty_result(own_samples.images, spec.num_classes)

    def finished(rows: np.ndarray, kept: dict[str, np.ndarray]) -> None:
        part = _result_of(service, own_samples.images[rows], kept)
        for whole, values in zip(result, part, strict=True):
            whole[rows] = values
        if on_finished is not None:
            on_finished(own_positions[rows], part)

    search_all(engines, service, key, own_samples, slots, mesh, finished)
    result = processes.gathered(result, len(images))
    if service is not black_box:
        black_box.charge(processes.total(service.queries))
    return result


def default_slots(queries_per_step: int, *, budgeted: bool = False) -> int:
    """Samples probed in one call where nobody says how many: what this kind of device is fastest with.

    With the paper's 257 queries a step that is one sample on a CPU and 32 elsewhere. One where there is a budget: it
    pushes more samples one after another than side by side.
    """
    return (
        1
        if budgeted
        else max(1, QUERIES_PER_CALL["cpu" if jax.default_backend() == "cpu" else "other"] // queries_per_step)
    )


def _empty_result(images: np.ndarray, num_classes: int) -> PushResult:
    count = len(images)
    probabilities = [np.zeros((count, num_classes), np.float32) for _ in range(3)]
    pixels, distances = [np.empty_like(images) for _ in range(2)], [np.zeros(count, np.float32) for _ in range(2)]
    numbers = [np.zeros(count, np.int32) for _ in range(2)]
    return PushResult(np.zeros(count, np.int32), *pixels, *distances, *probabilities, *numbers)


def _result_of(black_box: BlackBox, originals: np.ndarray, kept: dict[str, np.ndarray]) -> PushResult:
    for name in PROBABILITIES:
        answered = kept[name].sum(-1) != 0  # zeros until there is an answer; a NaN counts as one
        if answered.any():  # what a fused victim said is checked here, by the rules of the wall
            check_probabilities(black_box.spec, kept[name][answered], int(answered.sum()))
    return PushResult(
        status=kept["status"],
        inside=kept["inside"],
        outside=kept["outside"],
        l2_inside=_distances(kept["inside"], originals),
        l2_outside=_distances(kept["outside"], originals),
        first_probabilities=kept["first_probabilities"],
        inside_probabilities=kept["inside_probabilities"],
        outside_probabilities=kept["outside_probabilities"],
        steps=kept["step"],
        queries=kept["queries"],
    )


def check_ids(ids: np.ndarray, count: int) -> np.ndarray:
    """Returns `ids` as an array.

    Args:
      ids: shape=(n,), integers in 0 ... 2**32 - 1.
      count: n.

    Raises:
      ValueError: another shape or dtype, or an id out of range.
    """
    ids = np.asarray(ids)
    if ids.shape != (count,) or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"ids are {ids.dtype} of shape {ids.shape}; expected {count} integers, one an image")
    if ids.min() < 0 or ids.max() >= 2**32:
        raise ValueError(f"ids lie in {ids.min()} ... {ids.max()}; expected 0 ... 2**32 - 1")
    return ids


def _distances(images: np.ndarray, originals: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sum((images - originals) ** 2, axis=(1, 2, 3)))
