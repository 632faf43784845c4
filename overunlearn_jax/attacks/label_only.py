"""Pushing where the service answers labels only: along the boundary, towards the original (HopSkipJump, l2).

Chen, Jordan and Wainwright, "HopSkipJumpAttack" (2020), algorithm 2, with one number of directions in every iteration.
It begins with any image that is already across, such as one of class B, and looks at nothing but predicted labels.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.attacks.pushing import PushResult, check_ids
from overunlearn_jax.attacks.spaces import on_lattice
from overunlearn_jax.attacks.zoo_state import Status, check_count, check_limit
from overunlearn_jax.black_box import BlackBox, check_images
from overunlearn_jax.labels import check_labels
from overunlearn_jax.types import Array, Bounds, Key

STEP_HALVINGS = 12  # of a step that would leave the goal, before it is given up


class LabelOnlySettings(NamedTuple):
    """How far and how finely to look."""

    bounds: Bounds
    iterations: int = 30
    directions: int = 100  # random neighbours asked in each iteration
    halvings: int = 12  # of the line from the original to an image across, in each projection
    max_l2: float = 20.0  # a sample that ends farther away is TOO_FAR
    levels: int = 0  # 255: all images are exact 8-bit ones; 0: any pixels
    group: int = 64  # samples searched side by side: sets the memory, changes no result


def push_by_labels(
    black_box: BlackBox,
    images: np.ndarray,
    labels: np.ndarray,
    starts: np.ndarray,
    settings: LabelOnlySettings,
    key: Key,
    *,
    ids: np.ndarray | None = None,
    targets: np.ndarray | None = None,
    on_finished: Callable[[np.ndarray, PushResult], None] | None = None,
) -> PushResult:
    """Finds images just inside and just across the boundary, near `images`, from predicted labels alone.

    Args:
      black_box: the victim; of its answers only the largest probability's place is used. One that answers labels does
        with one-hot rows.
      images: shape (n, h, w, c), inside the victim's bounds.
      labels: shape (n,), the class that each image is to leave. Images that the victim does not predict so are SKIPPED.
      starts: shape (n, h, w, c), images that are across already. Where one is not, its sample is NOT_STARTED.
      settings: of the search.
      key: sample i draws from `fold_in(key, ids[i])`, whatever else is in the batch.
      ids: shape (n,), not negative; 0 ... n - 1 by default.
      targets: shape (n,), the class to reach; None: any other than the label.
      on_finished: called with the positions of each group of samples that has ended, and with what became of them.

    Returns:
      As `push` does; `steps` counts iterations, probabilities are what the service answered.

    Raises:
      ValueError: arrays that do not fit the victim or each other, or settings with which no search can be run.
      QueryBudgetExceededError: the budget ends before the search does.

    References:
      Chen, Jordan and Wainwright, IEEE S&P 2020: HopSkipJump.
    """
    for name, least in (("iterations", 0), ("directions", 1), ("halvings", 0), ("levels", 0), ("group", 1)):
        check_count(name, getattr(settings, name), least)
    check_limit("max_l2", settings.max_l2)
    spec = black_box.spec
    images, starts = check_images(spec, images), check_images(spec, starts)
    if len(starts) != len(images):
        raise ValueError(f"{len(starts)} starts for {len(images)} images; expected one each")
    labels = check_labels("labels", labels, len(images), spec.num_classes)
    goals = None if targets is None else check_labels("targets", targets, len(images), spec.num_classes)
    ids = np.arange(len(images)) if ids is None else check_ids(ids, len(images))
    parts = []
    for begin in range(0, len(images), settings.group):
        rows = slice(begin, begin + settings.group)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.asarray(ids[rows], jnp.uint32))
        goal = None if goals is None else goals[rows]
        search = _Search(black_box, images[rows], labels[rows], starts[rows], goal, settings)
        parts.append(search.run(keys))
        if on_finished is not None:
            on_finished(np.arange(len(images))[rows], parts[-1])
    return PushResult(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


class _Search:
    """Some samples searched side by side; each sample's path depends on its own answers only."""

    def __init__(
        self,
        black_box: BlackBox,
        images: np.ndarray,
        labels: np.ndarray,
        starts: np.ndarray,
        targets: np.ndarray | None,
        settings: LabelOnlySettings,
    ):
        count, classes = len(images), black_box.spec.num_classes
        self._black_box, self._settings = black_box, settings
        self._images, self._labels, self._targets = images, labels, targets
        self._inside, self._outside = images.copy(), self._allowed(starts)
        self._probabilities = [np.zeros((count, classes), np.float32) for _ in range(3)]  # first, inside, outside
        self._queries, self._steps = np.zeros(count, np.int32), np.zeros(count, np.int32)

    def run(self, keys: Array) -> PushResult:
        """All iterations of all samples."""
        everyone = np.arange(len(self._images))
        first, start = self._ask(everyone, self._images), self._ask(everyone, self._outside)
        self._probabilities = [first, first.copy(), start]
        right, across = first.argmax(-1) == self._labels, self._across(everyone, start)
        rows = np.flatnonzero(right & across)
        self._project(rows, self._outside[rows])
        for iteration in range(self._settings.iterations if len(rows) else 0):
            distances = self._distances(self._outside)[rows]
            directions = self._uphill(rows, keys, iteration, distances)
            self._project(rows, self._step(rows, directions, distances / np.sqrt(iteration + 1)))
            self._steps[rows] += 1
        reached = np.where(self._distances(self._outside) > self._settings.max_l2, Status.TOO_FAR, Status.CROSSED)
        status = np.where(right, np.where(across, reached, Status.NOT_STARTED), Status.SKIPPED)
        self._outside[~(right & across)] = self._images[~(right & across)]
        return PushResult(
            status.astype(np.int32),
            self._inside,
            self._outside,
            self._distances(self._inside),
            self._distances(self._outside),
            self._probabilities[0],
            self._probabilities[1],
            self._probabilities[2],
            self._steps,
            self._queries,
        )

    def _allowed(self, images: np.ndarray) -> np.ndarray:
        """The nearest images on the lattice, a copy."""
        return on_lattice(images.copy(), self._settings.bounds, self._settings.levels)

    def _ask(self, rows: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Answers, shape (r, ..., k), to images (r, ..., h, w, c) of the samples `rows`."""
        inner = images.shape[1:-3]
        self._queries[rows] += int(np.prod(inner))
        answers = self._black_box.query(images.reshape(-1, *images.shape[-3:]))
        return answers.reshape(len(rows), *inner, -1)

    def _across(self, rows: np.ndarray, answers: np.ndarray) -> np.ndarray:
        predicted = answers.argmax(-1)
        wanted = self._labels if self._targets is None else self._targets
        wanted = wanted[rows].reshape(-1, *[1] * (predicted.ndim - 1))
        return predicted != wanted if self._targets is None else predicted == wanted

    def _distances(self, images: np.ndarray) -> np.ndarray:
        return np.sqrt(((images - self._images) ** 2).sum((1, 2, 3)))

    def _project(self, rows: np.ndarray, across: np.ndarray) -> None:
        """Halves the line from the original to `across`; keeps both ends where that is nearer than before."""
        if len(rows) == 0:
            return
        low, high, known = self._images[rows].copy(), across.copy(), self._images[rows].copy()
        known_answers, high_answers = self._probabilities[0][rows].copy(), self._probabilities[2][rows].copy()
        for _ in range(self._settings.halvings):
            middle = self._allowed((low + high) / 2)
            answers = self._ask(rows, middle)
            beyond = self._across(rows, answers)
            within = answers.argmax(-1) == self._labels[rows]
            high[beyond], high_answers[beyond] = middle[beyond], answers[beyond]
            low[~beyond] = middle[~beyond]
            known[within], known_answers[within] = middle[within], answers[within]
        before = self._distances(self._outside)[rows]
        nearer = np.sqrt(((high - self._images[rows]) ** 2).sum((1, 2, 3))) <= before
        kept = rows[nearer]
        self._inside[kept], self._outside[kept] = known[nearer], high[nearer]
        self._probabilities[1][kept] = known_answers[nearer]
        self._probabilities[2][kept] = high_answers[nearer]

    def _uphill(self, rows: np.ndarray, keys: Array, iteration: int, distances: np.ndarray) -> np.ndarray:
        """Unit directions (r, h, w, c) away from the label, from the labels of random neighbours (equations 9, 16)."""
        bounds, pixels = self._settings.bounds, self._images[0].size
        radius = np.full(len(rows), 0.1 * (bounds.upper - bounds.lower)) if iteration == 0 else distances / pixels
        levels = self._settings.levels
        least = np.sqrt(pixels) * (bounds.upper - bounds.lower) / levels if levels else 1e-4  # a level in most pixels
        radius = np.maximum(radius, least).astype(np.float32)[:, None, None, None, None]
        shape = (self._settings.directions, *self._images.shape[1:])
        here = self._outside[rows][:, None]
        probes = self._allowed(np.clip(here + radius * np.asarray(_directions(keys[rows], iteration, shape)), *bounds))
        signs = np.where(self._across(rows, self._ask(rows, probes)), 1.0, -1.0).astype(np.float32)
        mean = signs.mean(1, keepdims=True)
        weights = np.where(np.abs(mean) == 1, signs, signs - mean)  # all alike: their mean direction, as it is
        uphill = (weights[:, :, None, None, None] * (probes - here) / radius).mean(1)
        lengths = np.sqrt((uphill**2).sum((1, 2, 3), keepdims=True))
        return uphill / np.maximum(lengths, 1e-12)

    def _step(self, rows: np.ndarray, directions: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Images across, as far along `directions` as stays across: the length is halved until it does."""
        reached, todo = self._outside[rows].copy(), np.arange(len(rows))
        lengths = lengths.astype(np.float32)[:, None, None, None]
        for _ in range(STEP_HALVINGS):
            moved = np.clip(self._outside[rows[todo]] + lengths[todo] * directions[todo], *self._settings.bounds)
            candidates = self._allowed(moved)
            across = self._across(rows[todo], self._ask(rows[todo], candidates))
            reached[todo[across]] = candidates[across]
            todo = todo[~across]
            if len(todo) == 0:
                break
            lengths[todo] /= 2
        return reached


@partial(jax.jit, static_argnames="shape")
def _directions(keys: Array, iteration: int, shape: tuple[int, ...]) -> Array:
    """Unit vectors, shape (r, *shape), of each sample's own."""
    normal = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, iteration), shape))(keys)
    return normal / jnp.sqrt((normal**2).sum((2, 3, 4), keepdims=True))
