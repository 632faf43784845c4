"""What a push minimises and when it has crossed: the C&W margin on log probabilities (equations 5 and 6).

Written for one sample: probabilities of shape (k,), label and target of shape ().
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax.numpy as jnp

from overunlearn_jax.types import Array

SMALLEST_PROBABILITY = 1e-30  # log(0) would leave no direction to walk in


class Criterion(NamedTuple):
    """`margin(probabilities, label, target)` is positive before the boundary and stops falling at -kappa beyond it.

    `crossed(...)` says that the boundary itself is crossed; kappa plays no part in that.
    """

    margin: Callable[[Array, Array, Array], Array]
    crossed: Callable[[Array, Array, Array], Array]


def _log(probabilities: Array) -> Array:
    chex.assert_rank(probabilities, 1)
    return jnp.log(jnp.maximum(probabilities, SMALLEST_PROBABILITY))


def _largest_other(log_probabilities: Array, index: Array) -> Array:
    others = jnp.arange(log_probabilities.shape[-1]) != index
    return jnp.max(jnp.where(others, log_probabilities, -jnp.inf))


def untargeted(kappa: float = 0.0) -> Criterion:
    """Away from the label: g = max(log F_y - max_{i != y} log F_i, -kappa)."""

    def margin_fn(probabilities: Array, label: Array, target: Array) -> Array:
        del target  # Unused: any other class will do.
        logs = _log(probabilities)
        return jnp.maximum(logs[label] - _largest_other(logs, label), -kappa)

    def crossed_fn(probabilities: Array, label: Array, target: Array) -> Array:
        del target
        chex.assert_rank([probabilities, label], [1, 0])
        return jnp.argmax(probabilities) != label

    return Criterion(margin_fn, crossed_fn)


def targeted(kappa: float = 0.0) -> Criterion:
    """To the target: g = max(max_{i != t} log F_i - log F_t, -kappa)."""

    def margin_fn(probabilities: Array, label: Array, target: Array) -> Array:
        del label
        logs = _log(probabilities)
        return jnp.maximum(_largest_other(logs, target) - logs[target], -kappa)

    def crossed_fn(probabilities: Array, label: Array, target: Array) -> Array:
        del label
        chex.assert_rank([probabilities, target], [1, 0])
        return jnp.argmax(probabilities) == target

    return Criterion(margin_fn, crossed_fn)
