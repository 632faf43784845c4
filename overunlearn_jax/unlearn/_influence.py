"""Second-order unlearning: one Newton step on the loss of what stays (equations 9 to 11).

theta_u = theta + H^-1 * sum of the request's gradients, H being the Hessian of the remaining data's summed loss: how
the minimum moves when the request's terms leave the sum (Koh and Liang, ICML 2017; Guo et al., ICML 2020).
"""

import itertools

import jax
import jax.numpy as jnp
import optax

from overunlearn_jax.models import Model
from overunlearn_jax.types import DivergedError, Images, Key, Labels, Params, Split, Variables
from overunlearn_jax.unlearn._first_order import gradient_difference
from overunlearn_jax.unlearn.call import UnlearnFn, check_request, check_settings, finite, retained
from overunlearn_jax.unlearn.descent import Batch, batches
from overunlearn_jax.unlearn.inverse_hessian import Solution, conjugate_gradients, damped_product, lissa
from overunlearn_jax.unlearn.partition import merge_params, partition_params
from overunlearn_jax.unlearn.work import count_gradients

SOLVERS = ("conjugate_gradients", "lissa")


def influence(
    *,
    damping: float = 1e-2,
    solver: str = "conjugate_gradients",
    iterations: int = 1000,
    lissa_scale: float = 2.0,
    most_residual: float = 0.1,
    hessian_samples: int = 1024,
    batch_size: int = 256,
    scope: str = "head",
) -> UnlearnFn:
    """The Newton step, with `damping` added to the Hessian of the retained data's *mean* loss.

    Args:
      damping: what is added to every eigenvalue. Too small, and the Hessian of a network has no inverse to use.
      solver: of the linear equations: "conjugate_gradients" or "lissa".
      iterations: at most (conjugate gradients, which end by themselves at a residual of 1e-4), or in all (LiSSA, which
        needs a few times lissa_scale / damping of them).
      lissa_scale: of LiSSA, above the largest eigenvalue of the damped Hessian of any batch; the default is for inputs
        of the head that are of length 1 or so.
      most_residual: how much of the equations may be left unsolved, `|v - (H + damping) x| / |v|`. A step that leaves
        more is no Newton step, and an error for either solver: where the Hessian can be inverted, conjugate gradients
        leave about 1e-4; where it cannot, cutting them off short has left more than not moving at all (1).
      hessian_samples: retained samples, drawn at random, that stand for all; all of them where there are fewer.
      batch_size: samples a Hessian product is summed over at a time; with LiSSA each iteration takes one such batch.
      scope: the parameters that move, see `partition`.

    Raises:
      ValueError: another solver and settings out of range; from the method itself, a wrong request or without retained
        data.
      DivergedError: from the method itself, where the equations cannot be solved, or not well enough.

    References:
      Guo et al., ICML 2020.
    """
    if solver not in SOLVERS:
        raise ValueError(f"solver is {solver!r}; expected one of {', '.join(SOLVERS)}")
    check_settings(
        "influence",
        damping=damping,
        iterations=iterations,
        lissa_scale=lissa_scale,
        most_residual=most_residual,
        hessian_samples=hessian_samples,
        batch_size=batch_size,
    )

    def unlearn_fn(
        model: Model, variables: Variables, images: Images, labels: Labels, key: Key, retain: Split | None = None
    ) -> Variables:
        classes = check_request(model, variables, images, labels)
        held = retained("influence", retain, classes)
        selected, rest = partition_params(variables.params, scope)
        target = _gradient_sum(model, selected, rest, variables.state, images, labels, batch_size)
        [drawn] = batches(key, held.images, held.labels, hessian_samples, 1)
        samples = [
            Batch(*(jnp.asarray(part[start : start + batch_size]) for part in drawn))
            for start in range(0, len(drawn.labels), batch_size)
        ]
        exact = damped_product(model.apply, selected, rest, variables.state, samples, damping)
        if solver == "lissa":
            parts = [damped_product(model.apply, selected, rest, variables.state, [b], damping) for b in samples]
            found: Solution = lissa(itertools.cycle(parts), exact, target, scale=lissa_scale, iterations=iterations)
        else:
            found = conjugate_gradients(exact, target, iterations=iterations)
        if not found.residual <= most_residual:  # NaN, too
            other = f", or a smaller lissa_scale than {lissa_scale:g}" if solver == "lissa" else ""
            raise DivergedError(
                f"{solver} left {found.residual:.3g} of the equations unsolved after {found.iterations} iterations, "
                f"more than most_residual={most_residual:g}: this is no Newton step; take more iterations than "
                f"{iterations}, a larger damping than {damping:g}{other}"
            )
        # The sum over the retained data is its mean times their number.
        step = jax.tree.map(lambda leaf: leaf / len(held.labels), found.value)
        moved = variables._replace(params=merge_params(optax.apply_updates(selected, step), rest))
        return finite("influence", moved, f"take a larger damping than {damping}")

    return unlearn_fn


def _gradient_sum(
    model: Model, selected: Params, rest: Params, state: object, images: Images, labels: Labels, batch_size: int
) -> Params:
    total = jax.tree.map(jnp.zeros_like, selected)
    count_gradients(len(labels))
    for start in range(0, len(labels), batch_size):
        rows = slice(start, start + batch_size)
        part = gradient_difference(model.apply, selected, rest, state, images[rows], None, labels[rows])
        total = jax.tree.map(jnp.subtract, total, part)  # the difference holds the request with a minus sign
    return total
