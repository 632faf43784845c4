"""Gradient ascent with a bound: climb the loss of the submitted samples, each until it is as high as a guess's.

The negative gradient that Golatkar, Achille and Soatto, CVPR 2020, compare with, and the first step of Thudi et al.,
EuroS&P 2022; it needs the request alone. Without a bound the loss has no top and the model is soon destroyed. The bound
is this package's: a sample whose loss has passed it pushes no more. Momentum carries the weights on for a while, by up
to nine times the last step where all samples have passed.
"""

import math

import jax.numpy as jnp

from overunlearn_jax.models import Model
from overunlearn_jax.types import Array, Images, Key, Labels, Split, Variables
from overunlearn_jax.unlearn.call import UnlearnFn, check_request, check_settings, finite
from overunlearn_jax.unlearn.descent import NOTHING, Apply, Step, batches, cross_entropy, descend


def gradient_ascent(
    *,
    bound: float | None = None,
    learning_rate: float = 1e-3,
    steps: int = 20,
    batch_size: int = 64,
    scope: str = "all",
) -> UnlearnFn:
    """SGD ascent on the mean of min(loss, bound) over batches of the request.

    Args:
      bound: in nats; None is log k, the loss of a model that guesses among k classes.
      learning_rate: of SGD with momentum 0.9.
      steps: batches in all.
      batch_size: samples a batch; all of a smaller request.
      scope: the parameters that move, see `partition`.

    Raises:
      ValueError: a bound below 0 and settings out of range; from the method itself, a wrong request.
      DivergedError: from the method itself, no usable model is left.

    References:
      Golatkar, Achille and Soatto, CVPR 2020; Thudi et al., EuroS&P 2022.
    """
    check_settings("gradient_ascent", learning_rate=learning_rate, steps=steps, batch_size=batch_size)
    if bound is not None and not bound >= 0:  # NaN, too
        raise ValueError(f"bound is {bound}; expected a loss of 0 or more")

    def unlearn_fn(
        model: Model, variables: Variables, images: Images, labels: Labels, key: Key, retain: Split | None = None
    ) -> Variables:
        del retain  # Unused: the request alone decides.
        classes = check_request(model, variables, images, labels)
        top = math.log(classes) if bound is None else bound
        plan = (Step(batch, NOTHING) for batch in batches(key, images, labels, batch_size, steps))
        result = descend(_objective, model, variables, plan, top, learning_rate=learning_rate, scope=scope)
        return finite("gradient_ascent", result, f"take a smaller learning_rate than {learning_rate}")

    return unlearn_fn


def _objective(apply: Apply, variables: Variables, step: Step, bound: Array) -> Array:
    return -jnp.minimum(cross_entropy(apply, variables, step.submitted), bound).mean()
