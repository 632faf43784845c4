"""Bounds on the length of an unlearning step: a transformation before the step, and a wrapper around any method.

A request pushed to the decision boundary is made of samples with large gradients: its first-order step points where an
honest one does and is several times as long. A bound on the length takes that away. It takes nothing from a request
whose step is short and points elsewhere, and it shortens the step of honest people whose samples are hard.

Where a method is a transformation, the bound is one in front of it:

    first_order(tau, bounds=bounds, clip=step_bound(longest / tau))
    optax.chain(step_bound(longest / tau), first_order_transform(tau))          # the same

Any other method is wrapped, and its whole change of the parameters projected: `bounded(scrub(), longest)`. How long an
honest step is: `honest_steps`. Needs nothing of the server but that number; costs one pass over the weights.
"""

import math

import optax

from overunlearn_jax.models import Model
from overunlearn_jax.types import Images, Key, Labels, Split, Variables
from overunlearn_jax.unlearn.call import UnlearnFn
from overunlearn_jax.unlearn.updates import along_step, step_length


def check_length(length: float) -> None:
    """Raises ValueError for a length that is NaN or negative; 0 and infinity are the limit cases."""
    if not length >= 0:
        raise ValueError(
            f"the longest step is {length}; expected an L2 norm of 0 or more: infinity bounds nothing, 0 lets no "
            "request change the model"
        )


def step_bound(length: float) -> optax.GradientTransformation:
    """Scales what is longer than `length` down to it, direction kept: `optax.clip_by_global_norm` with its limits.

    Infinity leaves every update as it is, bit for bit, and 0 makes it nothing. In front of `first_order_transform(tau)`
    the step is at most tau * `length` long.

    Raises ValueError for a length that is NaN or negative.

    >>> bound = step_bound(0.5)
    >>> optax.tree.norm(bound.update({"w": optax.tree.ones_like(3.0)}, bound.init(None))[0]).item()
    0.5
    """
    check_length(length)
    if length == 0:
        return optax.set_to_zero()  # clipping would divide a request without a gradient by 0
    return optax.identity() if length == math.inf else optax.clip_by_global_norm(length)


def shortened(before: Variables, after: Variables, length: float) -> Variables:
    """`after`, or the model `length` away from `before` on the way to it, where it is further than that.

    The length is the L2 norm of the change of the parameters; statistics, as of batch norm, go the same part of their
    way. A model that is near enough is returned itself, and `before` itself for a length of 0. One that is not finite
    lies in no direction: it is returned as it is.

    Raises ValueError for a length that is NaN or negative, and for models of different form.
    """
    check_length(length)
    whole = step_length(before, after)
    if length == 0:
        return before
    return after if whole <= length or not math.isfinite(whole) else along_step(before, after, length / whole)


def bounded(method: UnlearnFn, length: float) -> UnlearnFn:
    """The method, with its whole change of the parameters projected back to `length`.

    Infinity is the method itself, bit for bit; 0 leaves the model as it is. The bound is on all steps together, however
    many the method takes and whatever it uses of retained data: a part of the way that a repairing phase goes back is
    lost, too. Not for methods that start anew, such as retraining, whose distance from the old weights says nothing.

    Args:
      method: of `overunlearn_jax.unlearn`, or any function called alike.
      length: L2 norm, in the units of the weights.

    Raises ValueError for a length that is NaN or negative. The method raises what it raises without the bound, a
    DivergedError, too: weights that are not finite have no direction.
    """
    check_length(length)

    def unlearn_fn(
        model: Model, variables: Variables, images: Images, labels: Labels, key: Key, retain: Split | None = None
    ) -> Variables:
        after = method(model, variables, images, labels, key, retain)
        return after if length == math.inf else shortened(variables, after, length)

    return unlearn_fn
