"""Projected gradient descent by whoever has the weights (Madry et al., ICLR 2018): how much accuracy is left in a ball.

The loss is the margin of Carlini and Wagner (S&P 2017), the largest other logit less the own one: unlike cross-entropy
it does not vanish where a model is very sure of itself, as it may be after an unlearning step.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from overunlearn_jax.batching import in_batches
from overunlearn_jax.evaluation import metrics_from_predictions
from overunlearn_jax.labels import check_labels
from overunlearn_jax.models import Model
from overunlearn_jax.pixels import check_pixels
from overunlearn_jax.robustness._balls import check_ball, drawn, projected, steepest
from overunlearn_jax.types import Array, Bounds, Images, Key, Labels, Metrics, Split, Variables

Apply = Callable[..., tuple[Array, object]]
LOSSES = ("margin", "cross_entropy")
_STEP = 2.5  # times radius / steps: reaches the far side of the ball (Madry et al.)


class Pgd(NamedTuple):
    """How adversarial images are searched for."""

    norm: str = "linf"  # or "l2"
    steps: int = 20
    step_size: float | None = None  # in the units of the pixels; None: 2.5 radius / steps
    restarts: int = 1  # from points that are drawn in the ball; 0: once, from the image itself
    loss: str = "margin"  # or "cross_entropy"


USUAL = Pgd()


def pgd(
    model: Model,
    variables: Variables,
    images: Images,
    labels: Labels,
    radius: float,
    bounds: Bounds,
    key: Key,
    settings: Pgd = USUAL,
    *,
    batch_size: int = 128,
) -> np.ndarray:
    """Images within `radius` of the given ones that the model predicts wrongly, as far as they are found.

    An image that is predicted wrongly already is returned as it is, and one that has become so is moved no further. One
    that withstands is returned as the last restart left it. No image's result depends on the others.

    Args:
      model: to be attacked by its owner.
      variables: its weights.
      images: shape=(n, h, w, c), floats inside the bounds.
      labels: shape=(n,).
      radius: of the ball, in the units of the pixels.
      bounds: of the pixels; nothing leaves them.
      key: of the points to start from.
      settings: see `Pgd`.
      batch_size: images at a time; changes no result beyond rounding.

    Returns:
      shape=(n, h, w, c), dtype=float32.

    Raises:
      ValueError: no images, images outside the bounds, labels that are no class numbers, settings out of range.
    """
    _check(settings)
    check_ball(settings.norm, radius)
    array = check_pixels("images", images, bounds).astype(np.float32, copy=False)
    if len(array) == 0 or batch_size < 1:
        raise ValueError(f"there are {len(array)} images, and {batch_size} at a time; expected at least one of each")
    logits = jax.eval_shape(lambda some: model.apply(variables, some, None)[0], array[:1])
    own = check_labels("labels", labels, len(array), logits.shape[-1])
    step_size = _STEP * radius / settings.steps if settings.step_size is None else settings.step_size
    step = partial(_step, model.apply, settings.norm, settings.loss)
    numbers = np.array([radius, step_size, *bounds], np.float32)
    found = []
    for start in range(0, len(array), batch_size):
        rows = np.arange(start, start + batch_size)
        rows = np.where(rows < len(array), rows, start)  # filled up: one trace serves all
        originals, targets = array[rows], own[rows]
        moved: Any = originals
        for restart in range(max(1, settings.restarts)):
            if settings.restarts:
                restart_key = jax.random.fold_in(key, restart)
                moved = _start(model.apply, settings.norm, variables, moved, originals, targets, rows, restart_key,
                               numbers)  # fmt: skip
            for _ in range(settings.steps):
                moved = step(variables, moved, originals, targets, numbers)
        found.append(np.asarray(moved)[: len(array) - start])
    return np.concatenate(found)


def accuracy_under_pgd(
    model: Model,
    variables: Variables,
    split: Split,
    radii: Sequence[float],
    bounds: Bounds,
    key: Key,
    settings: Pgd = USUAL,
) -> dict[float, Metrics]:
    """What is left of the accuracy within each of the radii, which rise: an upper bound, as of every attack.

    What was found within a smaller radius counts within a larger one, too, so that accuracies never rise. Radius 0 is
    plain accuracy. Raises ValueError for radii that do not rise, and as `pgd` does.
    """
    radii = [float(radius) for radius in radii]
    if not radii or sorted(set(radii)) != radii:
        raise ValueError(f"radii are {radii}; expected one or more that rise")
    found, images = {}, np.asarray(split.images)
    for number, radius in enumerate(radii):
        moved = pgd(model, variables, split.images, split.labels, radius, bounds, jax.random.fold_in(key, number),
                    settings)  # fmt: skip
        wrong = _answers(model, variables, images).argmax(-1) != split.labels
        images = np.where(wrong[:, None, None, None], images, moved)
        logits = _answers(model, variables, images)
        found[radius] = metrics_from_predictions(split.labels, logits.argmax(-1), logits.shape[-1])
    return found


def _check(settings: Pgd) -> None:
    if settings.steps < 1 or settings.restarts < 0:
        raise ValueError(f"steps are {settings.steps} and restarts {settings.restarts}; expected at least 1 and 0")
    if settings.step_size is not None and not 0 < settings.step_size < np.inf:
        raise ValueError(f"step_size is {settings.step_size}; expected a finite number above 0, or None")
    if settings.loss not in LOSSES:
        raise ValueError(f"loss is {settings.loss!r}; expected one of {', '.join(LOSSES)}")


def _answers(model: Model, variables: Variables, images: np.ndarray) -> np.ndarray:
    return in_batches(lambda batch: np.asarray(_logits(model.apply, variables, batch)), images, 128)


@partial(jax.jit, static_argnums=0)
def _logits(apply: Apply, variables: Variables, images: Images) -> Array:
    with jax.default_matmul_precision("highest"):
        return apply(variables, images, None)[0]


@partial(jax.jit, static_argnums=(0, 1))
def _start(
    apply: Apply,
    norm: str,
    variables: Variables,
    moved: Array,
    originals: Array,
    labels: Array,
    rows: Array,
    key: Key,
    numbers: Array,
) -> Array:
    """What is still predicted rightly starts from a point in the ball."""
    radius, _, lower, upper = numbers
    right = _logits(apply, variables, moved).argmax(-1) == labels
    keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(rows)
    drawn_ones = jnp.clip(originals + drawn(keys, originals.shape[1:], norm, radius), lower, upper)
    return jnp.where(right[:, None, None, None], drawn_ones, moved)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _step(
    apply: Apply,
    norm: str,
    loss: str,
    variables: Variables,
    moved: Array,
    originals: Array,
    labels: Array,
    numbers: Array,
) -> Array:
    """One step up the loss, back into the ball and the bounds; what is predicted wrongly stays where it is."""
    radius, step_size, lower, upper = numbers

    def total(images: Array) -> tuple[Array, Array]:
        logits = _logits(apply, variables, images)
        if loss == "cross_entropy":
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        else:
            own = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
            losses = jnp.where(own, -jnp.inf, logits).max(-1) - jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
        return losses.sum(), logits.argmax(-1) == labels

    gradients, right = jax.grad(total, has_aux=True)(moved)
    changes = projected(moved + step_size * steepest(gradients, norm) - originals, norm, radius)
    return jnp.where(right[:, None, None, None], jnp.clip(originals + changes, lower, upper), moved)
