"""An unlearning step as a vector: how long it is, where it points, and the model a part or a multiple of it gives."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.types import Array, Params, Variables


def step_length(before: Variables, after: Variables) -> float:
    """L2 norm of the change of the parameters; statistics, as of batch norm, do not count.

    Args:
      before: any variables with float parameters.
      after: of the same form.

    Raises:
      ValueError: trees of different form.
    """
    return float(np.linalg.norm(_flat_change(before.params, after.params)))


def step_cosine(before: Variables, one: Variables, other: Variables) -> float:
    """Cosine of the angle between two changes of the same parameters; NaN where one of them is nothing.

    Raises:
      ValueError: trees of different form.
    """
    first, second = _flat_change(before.params, one.params), _flat_change(before.params, other.params)
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / lengths) if lengths else float("nan")


def along_step(before: Variables, after: Variables, factor: float) -> Variables:
    """The model that lies `factor` of the way from `before` to `after`: 0 and 1 are these two, 2 is twice as far.

    For a first-order step that is the same request at `factor` times the rate. Statistics move alike; leaves that are
    no floats, such as counters, are those of `after`.

    Raises:
      ValueError: trees of different form or a factor that is not finite.

    Examples:
      >>> along_step(Variables({"w": jnp.array([1.0])}), Variables({"w": jnp.array([3.0])}), 0.5).params["w"].item()
      2.0
    """
    if not np.isfinite(factor):
        raise ValueError(f"factor is {factor}; expected a finite number")
    _check_form(before, after)

    def moved(old: Array, new: Array) -> Array:
        if not jnp.issubdtype(jnp.asarray(new).dtype, jnp.floating):
            return new
        return old + jnp.asarray(factor, jnp.asarray(new).dtype) * (new - old)

    return Variables(*jax.tree.map(moved, tuple(before), tuple(after)))


def _flat_change(before: Params, after: Params) -> np.ndarray:
    """shape=(number of parameters,), dtype=float64."""
    _check_form(before, after)
    changes = jax.tree.map(lambda old, new: np.asarray(new, np.float64) - np.asarray(old, np.float64), before, after)
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(changes)] or [np.zeros(0)])


def _check_form(before: object, after: object) -> None:
    forms: list[Any] = [jax.tree.structure(each) for each in (before, after)]
    if forms[0] != forms[1]:
        raise ValueError(f"the models have different forms: {forms[0]} and {forms[1]}; expected two versions of one")
