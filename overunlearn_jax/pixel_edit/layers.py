"""What each kind of layer does to an edited feature map.

A rule takes the equation of a jaxpr and its inputs, at least one of them `Edited` and the others the same for every
probe. It returns the edited output, an array where the whole output changes, or None where it does not know this
case: then the layer is computed on whole maps.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from overunlearn_jax.pixel_edit.edited import Edited, added, cleaned, constant_in_window, difference, placed, window_of
from overunlearn_jax.pixel_edit.windows import bind, convolution, max_pool, sum_pool
from overunlearn_jax.types import Array

Rule = Callable[[Any, list[Any]], Edited | Array | None]


def _elementwise(equation: Any, inputs: list[Any]) -> Edited | None:
    edited = [each for each in inputs if isinstance(each, Edited)]
    if any(each.base.ndim != 4 for each in edited):
        return None
    aligned = _aligned(edited)
    if aligned is None:
        return None
    parts = iter(aligned)
    inputs = [next(parts) if isinstance(each, Edited) else each for each in inputs]
    base = bind(equation, [each.base if isinstance(each, Edited) else each for each in inputs])
    if not (jnp.issubdtype(base.dtype, jnp.floating) or base.dtype == bool):
        return None
    if any(each.base.shape != base.shape for each in aligned):
        return None  # one value for many pixels or channels
    change = _linear(equation.primitive.name, inputs)
    if change is not None:
        # Beyond the edge a divisor may be zero.
        clean = all(each.clean for each in aligned) and equation.primitive.name != "div"
        return Edited(base, change, aligned[0].corners, aligned[0].origin, clean)
    old, new = [], []
    for each in inputs:
        if isinstance(each, Edited):
            old.append(window_of(each.base, each.corners, each.origin, each.size))
            new.append(added(old[-1], each.change))
        else:
            old.append(constant_in_window(each, aligned[0]))
            new.append(old[-1])
    change = difference(bind(equation, new), bind(equation, old))
    return cleaned(Edited(base, change, aligned[0].corners, aligned[0].origin, clean=False))


def _linear(name: str, inputs: list[Any]) -> Array | None:
    """The change where it does not depend on the base; None where it does."""
    first, *others = inputs
    if name in ("copy", "stop_gradient"):
        return first.change
    if name == "neg":
        return -first.change
    if not others or not jnp.issubdtype(jnp.result_type(*map(_values, inputs)), jnp.floating):
        return None
    other = others[0]
    if name in ("add", "sub"):
        sign = 1 if name == "add" else -1
        if not isinstance(first, Edited):
            return sign * other.change
        return first.change + sign * other.change if isinstance(other, Edited) else first.change
    if isinstance(first, Edited) and isinstance(other, Edited):
        return None
    if name == "mul":
        edited, factor = (first, other) if isinstance(first, Edited) else (other, first)
        return edited.change * constant_in_window(factor, edited)
    if name == "div" and isinstance(first, Edited):
        return first.change / constant_in_window(other, first)
    return None


def _values(each: Any) -> Any:
    return each.base if isinstance(each, Edited) else each


def _aligned(edited: list[Edited]) -> list[Edited] | None:
    """The same edits in windows of one place and size, those of the largest; None where it does not hold all others."""
    largest = max(edited, key=lambda each: each.size[0] * each.size[1])
    result = []
    for each in edited:
        gaps = (each.corners[0] - largest.corners[0], each.corners[1] - largest.corners[1])
        room = [largest.size[axis] - each.size[axis] for axis in (0, 1)]
        if any(gaps[axis].min() < 0 or gaps[axis].max() > room[axis] for axis in (0, 1)):
            return None
        if each.size == largest.size:
            result.append(each)
        else:
            change = placed(each.change, gaps, each.origin, list(largest.size))
            result.append(each._replace(change=change, corners=largest.corners))
    return result


def _sum(equation: Any, inputs: list[Any]) -> Array | None:
    (x,) = inputs
    if tuple(equation.params["axes"]) != (1, 2) or x.base.dtype == bool:
        return None
    return bind(equation, [x.base]) + bind(equation, [cleaned(x).change])


def _matrix_product(equation: Any, inputs: list[Any]) -> Edited | None:
    x, matrix = inputs
    known = not isinstance(matrix, Edited) and matrix.ndim == 2
    if not known or equation.params["dimension_numbers"] != (((3,), (0,)), ((), ())):
        return None
    return x._replace(base=bind(equation, [x.base, matrix]), change=bind(equation, [x.change, matrix]))


def _same_type(equation: Any, inputs: list[Any]) -> Edited | None:
    (x,) = inputs
    return x if equation.params["new_dtype"] == x.base.dtype else None


_ELEMENTWISE = (
    "abs add and ceil clamp copy cos div eq erf exp exp2 expm1 floor ge gt integer_pow is_finite le log log1p logistic "
    "lt max min mul ne neg not or pow rsqrt select_n sign sin sqrt square stop_gradient sub tan tanh xor"
)

RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    "conv_general_dilated": convolution,
    "convert_element_type": _same_type,
    "dot_general": _matrix_product,
    "reduce_sum": _sum,
    "reduce_window_max": max_pool,
    "reduce_window_sum": sum_pool,
}
"""Rules by the name of the jaxpr's primitive."""
