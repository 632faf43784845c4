"""(H + damping)^-1 v without ever holding H, the Hessian of a mean loss: conjugate gradients, or LiSSA.

Both ask only for products H w, each as dear as two gradients. A network's Hessian has negative eigenvalues; without
enough damping there is no such inverse, and both say so.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from overunlearn_jax.types import Array, DivergedError, Params, PyTree, Variables
from overunlearn_jax.unlearn.descent import Apply, Batch, cross_entropy
from overunlearn_jax.unlearn.partition import merge_params
from overunlearn_jax.unlearn.work import count_gradients

Product = Callable[[Params], Params]  # w to (H + damping) w


class Solution(NamedTuple):
    """What a solver found."""

    value: Params
    iterations: int
    residual: float  # |v - (H + damping) value| / |v|


def conjugate_gradients(
    product: Product, target: Params, *, iterations: int = 100, tolerance: float = 1e-4
) -> Solution:
    """Hestenes and Stiefel, 1952. Ends at a residual of `tolerance`, or after `iterations` with what there is.

    Its own residual is updated step by step and drifts in float32, away from 0 in truth where H is ill-conditioned; the
    one that is returned is computed anew, by one product more.

    Raises:
      DivergedError: where a direction of negative curvature turns up: the damping is too small.
    """
    value = jax.tree.map(jnp.zeros_like, target)
    residual = direction = target
    size = start = float(_dot(target, target))
    done = 0
    while done < iterations and size > tolerance**2 * start:
        along = product(direction)
        curvature = float(_dot(direction, along))
        if not curvature > 0:  # NaN, too
            raise DivergedError(
                f"the damped Hessian has curvature {curvature:.3g} along direction {done + 1} of conjugate gradients: "
                "it has no inverse that a Newton step may use; take a larger damping"
            )
        value = _add(value, size / curvature, direction)
        residual = _add(residual, -size / curvature, along)
        old, size = size, float(_dot(residual, residual))
        direction = _add(residual, size / old, direction)
        done += 1
    return Solution(value, done, _left(product, value, target))


def lissa(
    products: Iterator[Product], exact: Product, target: Params, *, scale: float, iterations: int = 100
) -> Solution:
    """LiSSA (Agarwal, Bullins and Hazan, JMLR 2017): x <- v + x - (H + damping) x / scale, then x / scale.

    Converges where `scale` is larger than the largest eigenvalue of every (H + damping) in `products`, which may each
    be of another batch; the residual is taken with `exact`. Raises DivergedError where it grows instead.
    """
    start = float(_dot(target, target)) ** 0.5
    value = target
    for done in range(iterations):
        value = _add(_add(target, 1.0, value), -1.0 / scale, next(products)(value))
        size = float(_dot(value, value)) ** 0.5
        if not size <= (done + 2) * start * (1 + 1e-5):  # the longest that x can be where nothing grows
            raise DivergedError(
                f"LiSSA grew to {size / start:.3g} times its target in {done + 1} iterations: take a scale above "
                f"{scale:g} (it has to be larger than the largest eigenvalue) or a larger damping"
            )
    value = jax.tree.map(lambda leaf: leaf / scale, value)
    return Solution(value, iterations, _left(exact, value, target))


def _left(product: Product, value: Params, target: Params) -> float:
    """|target - product(value)| / |target|, and 0 where there is nothing to solve."""
    start = float(_dot(target, target))
    if not start:
        return 0.0
    left = _add(target, -1.0, product(value))
    return float(_dot(left, left) / start) ** 0.5


def damped_product(
    apply: Apply, selected: Params, rest: Params, state: PyTree, samples: list[Batch], damping: float
) -> Product:
    """w to H w + damping w, H being the Hessian of the mean loss over all `samples` in the selected parameters."""
    count = sum(len(batch.labels) for batch in samples)

    def product(vector: Params) -> Params:
        count_gradients(2 * count)
        total = jax.tree.map(lambda leaf: damping * leaf, vector)
        for batch in samples:
            total = _add(total, 1.0 / count, _hessian_product(apply, selected, rest, state, batch, vector))
        return total

    return product


@partial(jax.jit, static_argnums=0)
def _hessian_product(
    apply: Apply, selected: Params, rest: Params, state: PyTree, batch: Batch, vector: Params
) -> Params:
    def loss(params: Params) -> Array:
        return cross_entropy(apply, Variables(merge_params(params, rest), state), batch).sum()

    with jax.default_matmul_precision("highest"):  # shorter products would turn small curvatures negative
        return jax.jvp(jax.grad(loss), (selected,), (vector,))[1]


@jax.jit
def _dot(first: Params, second: Params) -> Array:
    return jax.tree.reduce(jnp.add, jax.tree.map(jnp.vdot, first, second))


@jax.jit
def _add(first: Params, factor: float, second: Params) -> Params:
    return jax.tree.map(lambda a, b: a + factor * b, first, second)
