"""The one call of every unlearning method, and what every method checks of what it is given and of what it gives."""

import math
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.labels import check_labels
from overunlearn_jax.models import Model
from overunlearn_jax.pixels import check_pixels
from overunlearn_jax.typed_keys import without_keys
from overunlearn_jax.types import Array, DivergedError, Images, Key, Labels, Split, Variables

_logits = jax.jit(lambda apply, variables, images: apply(variables, images, None)[0], static_argnums=0)  # traced once

# The least value of every setting that is a number, by its name: the same in all methods.
_LEAST_COUNT = {
    "steps": 0,
    "epochs": 0,
    "rounds": 0,
    "ascents": 0,
    "retain_steps": 0,
    "batch_size": 1,
    "iterations": 1,
    "hessian_samples": 1,
    "retain_samples": 1,
}
_NOT_NEGATIVE = ("tau", "learning_rate", "damping", "distillation")
_POSITIVE = ("lissa_scale", "most_residual", "selection", "dampening")
_SHARES = ("most_shrunk",)
_BOUNDS = ("clip_each",)


class UnlearnFn(Protocol):
    """What a service does with a request: the model's variables after it has forgotten the submitted samples."""

    def __call__(
        self,
        model: Model,
        variables: Variables,
        images: Images,
        labels: Labels,
        key: Key,
        retain: Split | None = None,
    ) -> Variables:
        """`images` (n, h, w, c) and `labels` (n,) are submitted; `retain` is training data that stays, or None."""


def check_settings(method: str, **settings: float | Array) -> None:
    """Checks counts, rates and factors when a method is made, by their names.

    0 is allowed where it is the limit case that changes nothing: no steps, a rate of 0. Raises ValueError for a count
    that is no whole number or too small, and for a number that is NaN, infinite, negative, or 0 where it may not be.

    Examples:
      >>> check_settings("scrub", rounds=5, learning_rate=1e-3)
    """
    right: bool | Array
    for name, value in settings.items():
        if isinstance(value, jax.core.Tracer):
            continue  # no value to look at: whoever transforms, as `sweep_tau` does, checks it before
        if name in _LEAST_COUNT:
            right = isinstance(value, int | np.integer) and value >= _LEAST_COUNT[name]
            expected = f"a whole number, at least {_LEAST_COUNT[name]}"
        elif name in _NOT_NEGATIVE:
            right, expected = 0 <= value < math.inf, "a finite number, 0 or more"
        elif name in _POSITIVE:
            right, expected = 0 < value < math.inf, "a finite number above 0"
        elif name in _SHARES:
            right, expected = 0 <= value <= 1, "a finite number from 0 to 1"
        elif name in _BOUNDS:
            right, expected = value >= 0, "a finite number, 0 or more, or infinity, which bounds nothing"
        else:
            raise TypeError(f"{method} has {name} checked, and nothing says what it may be: add it to call.py")
        if not right:
            raise ValueError(f"{method}: {name} is {value}; expected {expected}")


def check_request(model: Model, variables: Variables, images: Images, labels: Labels) -> int:
    """Returns the number of classes k that the model has a logit for.

    Args:
      model: pure functions.
      variables: its weights.
      images: shape=(n, h, w, c), floats: what is submitted.
      labels: shape=(n,), integers in 0 ... k - 1.

    Raises:
      ValueError: an empty request, 8-bit or other integer images, images that are not finite, or labels that the model
        has no logit for.
    """
    images = np.asarray(images)
    if len(images) == 0:
        raise ValueError("the request is empty: there is nothing to unlearn")
    check_pixels("the request's images", images)
    logits = jax.eval_shape(lambda first: _logits(model.apply, variables, first), images[:1])
    classes = int(logits.shape[-1])
    check_labels("the request's labels", labels, len(images), classes)
    return classes


def retained(method: str, retain: Split | None, classes: int) -> Split:
    """The retained data that a method cannot do without, of a model that knows so many classes.

    Raises:
      ValueError: where there is none, integer images, images that are not finite, or labels that the model has no logit
        for.
    """
    if retain is None or len(retain.labels) == 0:
        raise ValueError(
            f"{method} needs retained training data, and was given none: pass retain=Split(images, labels, ids) of "
            "what the service still holds, or use a method that needs the request alone (first_order, "
            "gradient_ascent, fine_tuning)"
        )
    check_pixels("the retained images", retain.images)
    check_labels("the retained labels", retain.labels, len(retain.images), classes)
    return retain


def finite(method: str, variables: Variables, advice: str) -> Variables:
    """The variables unchanged. Raises DivergedError, with the advice, where one of them is NaN or infinite.

    Inside a transformation such as `jax.vmap` there are no values to look at: whoever transforms checks the result.
    """
    leaves = [leaf for leaf in jax.tree.leaves(without_keys(variables)) if not isinstance(leaf, jax.core.Tracer)]
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in leaves):
        raise DivergedError(f"{method} diverged: weights are no longer finite; {advice}")
    return variables
