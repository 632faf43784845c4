"""The one call of every unlearning method, and what every method checks of what it is given and of what it gives."""

from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.models import Model
from overunlearn_jax.types import DivergedError, Images, Key, Labels, Split, Variables

_logits = jax.jit(lambda apply, variables, images: apply(variables, images, None)[0], static_argnums=0)  # traced once


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


def check_request(model: Model, variables: Variables, images: Images, labels: Labels) -> int:
    """Returns the number of classes k that the model knows.

    Raises ValueError for an empty request, images that are not finite, or labels that the model has no logit for.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if len(images) == 0:
        raise ValueError("the request is empty: there is nothing to unlearn")
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels are {labels.dtype} of shape {labels.shape}; expected {len(images)} integers, one an image"
        )
    if not np.isfinite(images).all():
        raise ValueError("the request's images hold NaN or infinity; expected numbers inside the data set's bounds")
    logits = jax.eval_shape(lambda first: _logits(model.apply, variables, first), images[:1])
    if labels.min() < 0 or labels.max() >= logits.shape[-1]:
        raise ValueError(f"labels lie in {labels.min()} ... {labels.max()}; expected 0 ... {logits.shape[-1] - 1}")
    return int(logits.shape[-1])


def retained(method: str, retain: Split | None) -> Split:
    """The retained data that a method cannot do without. Raises ValueError where there is none."""
    if retain is None or len(retain.labels) == 0:
        raise ValueError(
            f"{method} needs retained training data, and was given none: pass retain=Split(images, labels, ids) of "
            "what the service still holds, or use a method that needs the request alone (first_order, "
            "gradient_ascent, fine_tuning)"
        )
    return retain


def finite(method: str, variables: Variables, advice: str) -> Variables:
    """The variables unchanged. Raises DivergedError, with the advice, where one of them is NaN or infinite."""
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(variables)):
        raise DivergedError(f"{method} diverged: weights are no longer finite; {advice}")
    return variables
