"""The rounds of a push in a subspace: probes along waves, one step of several lengths, and what its answers say."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.attacks import criteria
from overunlearn_jax.attacks.bisection import bisect
from overunlearn_jax.attacks.pushing import PushResult
from overunlearn_jax.attacks.spaces import box_space, lattice_space
from overunlearn_jax.attacks.subspace_settings import LENGTHS, LONGER, SHORTEST, SubspaceSettings
from overunlearn_jax.attacks.zoo_state import FEWEST_TELLING, Status
from overunlearn_jax.black_box import BlackBox, QueryBudgetExceededError
from overunlearn_jax.types import Array, Bounds


class SubspaceSearch:
    """Some samples searched side by side, filled up to a whole group so that all groups share one program."""

    def __init__(
        self,
        black_box: BlackBox,
        settings: SubspaceSettings,
        waves: Array,
        images: np.ndarray,
        labels: np.ndarray,
        targets: np.ndarray | None,
    ):
        self._black_box, self._settings, self._waves, self._real = black_box, settings, waves, len(images)
        fill = np.arange(settings.group) % len(images)
        self._images, self._labels = images[fill], labels[fill]
        self._targets = None if targets is None else targets[fill]
        count, classes = settings.group, black_box.spec.num_classes
        self._points = self._images.copy()  # where each search stands
        self._here = np.zeros((count, classes), np.float32)  # what was answered there
        self._gradients = np.zeros((count, len(waves)), np.float32)  # of the margin, along each wave
        self._lengths = np.full(count, settings.difference, np.float32)  # of the probes
        self._told = np.zeros(count, np.int32)  # probes of that length, answered otherwise than the image they change
        self._probed = np.zeros(count, np.int32)  # rounds of that length
        self._stuck = np.zeros(count, bool)  # the last step lowered no margin
        self._result = PushResult(
            np.full(count, Status.RUNNING, np.int32),
            *[self._images.copy() for _ in ("inside", "outside")],
            *[np.zeros(count, np.float32) for _ in ("l2_inside", "l2_outside")],
            *[np.zeros((count, classes), np.float32) for _ in ("first", "inside", "outside")],
            *[np.zeros(count, np.int32) for _ in ("steps", "queries")],
        )

    def run(self) -> PushResult:
        """All rounds, then the halvings; what became of the samples."""
        settings, status = self._settings, self._result.status
        try:
            self._look()
            while self._round():
                pass
            ended = np.where(self._stuck, Status.STALLED, Status.OUT_OF_STEPS)
            ended = np.where(self._probed == 0, Status.SAW_NOTHING, ended)  # since probes became longer
            status[:] = np.where(status == Status.RUNNING, ended, status)
        except QueryBudgetExceededError:
            pass  # whoever has not crossed stays RUNNING
        images, labels, *arrays = (array[: self._real] for array in (self._images, self._labels, *self._result))
        targets = None if self._targets is None else self._targets[: self._real]
        result = PushResult(*arrays)
        left, crossed = self._black_box.left, max(1, int(result.crossed.sum()))
        steps = settings.halvings if left is None else min(settings.halvings, left // crossed)
        result = bisect(self._black_box, images, labels, result, steps=steps, levels=settings.levels, targets=targets)
        result.status[result.crossed & (result.l2_outside > settings.max_l2)] = Status.TOO_FAR
        return result

    def _ask(self, rows: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Answers (g, p, k) to images (g, p, h, w, c); those of `rows` alone are sent, the other answers are zeros."""
        answers = np.zeros((*images.shape[:2], self._here.shape[-1]), np.float32)
        sent = images[rows].reshape(-1, *images.shape[2:])
        answers[rows] = self._black_box.query(sent).reshape(len(rows), images.shape[1], -1)
        self._result.queries[rows] += images.shape[1]
        return answers

    def _margins_of(self, answers: np.ndarray) -> np.ndarray:
        """Margins (g, p): positive before the boundary, negative beyond."""
        targets = self._labels if self._targets is None else self._targets
        return np.asarray(_margins(self._targets is not None, answers, self._labels, targets))

    def _look(self) -> None:
        """Asks for the originals, whose answers say who is searched at all."""
        result = self._result
        self._here = self._ask(np.arange(self._real), self._images[:, None])[:, 0]
        result.first_probabilities[:] = result.inside_probabilities[:] = self._here
        result.status[self._here.argmax(-1) != self._labels] = Status.SKIPPED
        result.status[self._real :] = Status.SKIPPED

    def _round(self) -> bool:
        """Probes of those that go on, and a step of each that they told something; False where nobody goes on."""
        settings, result, bounds = self._settings, self._result, self._black_box.spec.bounds
        unfinished = np.where(result.crossed, result.l2_outside > settings.near, result.status == Status.RUNNING)
        affordable = result.queries + settings.queries_per_round + settings.halvings <= settings.max_queries
        rows = np.flatnonzero(unfinished & affordable & (result.steps < settings.rounds))
        if len(rows) == 0:
            return False
        waves = (result.steps[:, None] * settings.directions + np.arange(settings.directions)) % len(self._waves)
        probes = np.asarray(_probes(settings, bounds, self._points, self._lengths, self._waves, waves))
        answers = self._ask(rows, probes)
        here = self._here[:, None]
        margins = self._margins_of(np.concatenate([here, answers], 1))
        told = (np.abs(answers - here) > settings.resolution).any(-1)
        slopes = np.where(told, (margins[:, 1:] - margins[:, :1]) / self._lengths[:, None], 0)
        self._probed[rows] += 1
        self._told[rows] += told.sum(-1)[rows]
        blind = ~result.crossed & (self._told < FEWEST_TELLING * self._probed * settings.directions)
        self._lengthen(rows[blind[rows]])
        rows = rows[~blind[rows]]
        if len(rows) == 0:
            return True
        self._gradients[rows[:, None], waves[rows]] = slopes[rows]
        result.steps[rows] += 1
        starts = np.where(result.crossed[:, None, None, None], self._images, self._points)
        steps = np.asarray(
            _steps(settings, bounds, starts, self._points, margins[:, 0], self._gradients, self._lengths, self._waves)
        )
        answers = self._ask(rows, steps)
        margins = np.concatenate([margins[:, :1], self._margins_of(answers)], 1)
        for row in rows.tolist():
            self._follow(row, steps[row], answers[row], margins[row])
        return True

    def _lengthen(self, rows: np.ndarray) -> None:
        """Longer probes for those whose probes told next to nothing; SAW_NOTHING where they are long already."""
        self._lengths[rows] *= LONGER
        self._told[rows] = self._probed[rows] = 0
        self._result.status[rows[self._lengths[rows] > self._settings.longest]] = Status.SAW_NOTHING

    def _follow(self, row: int, images: np.ndarray, answers: np.ndarray, margins: np.ndarray) -> None:
        """Takes the first of a step's images that is across, if it is the nearest yet, or else the lowest margin."""
        result, predicted, label = self._result, answers.argmax(-1), self._labels[row]
        across = predicted != label if self._targets is None else predicted == self._targets[row]
        reached = int(across.argmax()) if across.any() else int(margins[1:].argmin())
        l2 = np.sqrt(((images - self._images[row]) ** 2).sum((1, 2, 3)))
        if result.crossed[row]:
            if not across.any() or l2[reached] >= result.l2_outside[row]:
                return
            result.inside[row], result.l2_inside[row] = self._images[row], 0  # where the step began
            result.inside_probabilities[row] = result.first_probabilities[row]
        elif not across.any():
            self._stuck[row] = margins[1 + reached] >= margins[0]
            if self._stuck[row]:
                return
        for place in np.flatnonzero(predicted[: reached + 1] == label)[-1:]:
            result.inside[row], result.l2_inside[row] = images[place], l2[place]
            result.inside_probabilities[row] = answers[place]
        self._points[row], self._here[row] = images[reached], answers[reached]
        if across.any():
            result.status[row] = Status.CROSSED
            result.outside[row], result.l2_outside[row] = images[reached], l2[reached]
            result.outside_probabilities[row] = answers[reached]


def _to_image(settings: SubspaceSettings, bounds: Bounds, images: Array) -> Array:
    space = lattice_space(bounds, settings.levels) if settings.levels else box_space(bounds)
    return space.to_image(images)


@partial(jax.jit, static_argnums=(0, 1))
def _probes(
    settings: SubspaceSettings, bounds: Bounds, points: Array, lengths: Array, waves: Array, chosen: Array
) -> Array:
    """Images (g, d, h, w, c): each point moved by its length (g,) along each of the waves `chosen` for it (g, d)."""
    return _to_image(settings, bounds, points[:, None] + lengths[:, None, None, None, None] * waves[chosen])


@partial(jax.jit, static_argnums=(0, 1))
def _steps(
    settings: SubspaceSettings,
    bounds: Bounds,
    starts: Array,
    points: Array,
    margins: Array,
    gradients: Array,
    probes: Array,
    waves: Array,
) -> Array:
    """Images (g, l, h, w, c) on a line from each start down its gradient (g, d), around where the margin would be 0.

    Margin and gradient are those at the point, which lies `along` the line. `probes` (g,) are lengths.
    """
    down = -jnp.einsum("gd,dhwc->ghwc", gradients, waves)
    steepness = jnp.maximum(jnp.linalg.norm(gradients, axis=1), 1e-12)
    down /= steepness[:, None, None, None]
    along = jnp.sum((points - starts) * down, (1, 2, 3))
    lengths = jnp.clip(along + margins / steepness, SHORTEST * probes, settings.max_l2)
    moves = lengths[:, None] * jnp.asarray(LENGTHS)
    return _to_image(settings, bounds, starts[:, None] + moves[..., None, None, None] * down[:, None])


@partial(jax.jit, static_argnums=0)
def _margins(targeted: bool, answers: Array, labels: Array, targets: Array) -> Array:
    """Of answers (g, p, k), with no floor beyond the boundary."""
    margin = (criteria.targeted if targeted else criteria.untargeted)(kappa=jnp.inf).margin
    return jax.vmap(jax.vmap(margin, (0, None, None)))(answers, labels, targets)
