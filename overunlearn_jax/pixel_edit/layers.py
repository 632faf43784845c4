"""What each kind of layer does to an edited feature map.

A rule takes the equation of a jaxpr and its inputs, at least one of them `Edited` and the others the same for every
probe. It returns the edited output, an array where the whole output changes, or None where it does not know this
case: then the layer is computed on whole maps.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from overunlearn_jax.pixel_edit.edited import Edited, added, cleaned, constant_in_window, difference, placed, window_of
from overunlearn_jax.types import Array

Rule = Callable[[Any, list[Any]], Edited | Array | None]

CHANNELS_LAST = ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))  # images (n, h, w, c), kernels (h, w, in, out)


def bind(equation: Any, values: Sequence[Any]) -> Any:
    """Computes one equation of a jaxpr on arrays, as JAX itself would."""
    return equation.primitive.bind(*values, **equation.primitive.get_bind_params(equation.params))


def _convolution(equation: Any, inputs: list[Any]) -> Edited | None:
    x, kernel = inputs
    p = equation.params
    numbers = p["dimension_numbers"]
    known = (
        not isinstance(kernel, Edited)
        and (numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec) == CHANNELS_LAST
        and p["batch_group_count"] == 1
        and p["lhs_dilation"] == (1, 1)
    )
    if not known:
        return None
    steps = _Steps(x, kernel.shape[:2], p["window_strides"], p["rhs_dilation"], p["padding"])
    base = bind(equation, [x.base, kernel])
    if not steps.smaller_than(base):
        return None
    if steps.margins is not None:  # zeros that the convolution adds cost less than zeros that are there
        frame, padding = cleaned(x).change, steps.margins
    else:
        frame, padding = steps.frame(cleaned(x)), ((0, 0), (0, 0))
    change = equation.primitive.bind(frame, kernel, **(p | {"padding": padding}))
    return Edited(base, change, steps.corners, x.origin, clean=False)


def _max_pool(equation: Any, inputs: list[Any]) -> Edited | None:
    (x,) = inputs
    p = equation.params
    if not _pools_rows_and_columns(p) or not jnp.issubdtype(x.base.dtype, jnp.floating):
        return None
    x = cleaned(x)
    steps = _Steps(x, p["window_dimensions"][1:3], p["window_strides"][1:3], (1, 1), p["padding"][1:3])
    base = bind(equation, [x.base])
    if not steps.smaller_than(base):
        return None
    old = window_of(x.base, steps.frame_corners, x.origin, steps.frame_size, -jnp.inf)
    new = added(old, steps.frame(x))
    strides = p["window_strides"][1:3]
    window = p["window_dimensions"][1:3]
    change = difference(_largest(new, window, strides), _largest(old, window, strides))
    return Edited(base, change, steps.corners, x.origin, clean=False)


def _largest(values: Array, window: Sequence[int], strides: Sequence[int]) -> Array:
    """Max pool without padding as maxima of strided slices, which XLA fuses with what stands around them."""
    rows, columns = values.shape[1:3]
    result = None
    for i in range(window[0]):
        for j in range(window[1]):
            part = values[:, i : rows - window[0] + i + 1 : strides[0], j : columns - window[1] + j + 1 : strides[1]]
            result = part if result is None else jnp.maximum(result, part)
    assert result is not None
    return result


def _sum_pool(equation: Any, inputs: list[Any]) -> Edited | None:
    (x,) = inputs
    p = equation.params
    if not _pools_rows_and_columns(p):
        return None
    steps = _Steps(x, p["window_dimensions"][1:3], p["window_strides"][1:3], (1, 1), p["padding"][1:3])
    base = bind(equation, [x.base])
    if not steps.smaller_than(base):
        return None
    change = equation.primitive.bind(steps.frame(cleaned(x)), **(p | {"padding": ((0, 0),) * 4}))
    return Edited(base, change, steps.corners, x.origin, clean=False)


def _pools_rows_and_columns(p: dict[str, Any]) -> bool:
    edges = (0, 3)
    return (
        len(p["window_dimensions"]) == 4
        and all(p["window_dimensions"][i] == p["window_strides"][i] == 1 and p["padding"][i] == (0, 0) for i in edges)
        and set(p["base_dilation"]) == set(p["window_dilation"]) == {1}
    )


class _Steps:
    """Which outputs of a sliding window an edit touches, and the frame of inputs that they look at."""

    def __init__(
        self,
        x: Edited,
        window: Sequence[int],
        strides: Sequence[int],
        dilation: Sequence[int],
        padding: Sequence[tuple[int, int]],
    ):
        firsts, gaps, starts, counts, sizes = [], [], [], [], []
        for axis in (0, 1):
            corner, before = x.corners[axis], padding[axis][0]
            reach, stride = (window[axis] - 1) * dilation[axis], strides[axis]
            first = -(-(corner + before - reach) // stride)
            last = (corner + x.size[axis] - 1 + before) // stride
            count = max(1, int((last - first).max()) + 1)
            firsts.append(first)
            starts.append(first * stride - before)
            gaps.append(corner - starts[-1])
            counts.append(count)
            sizes.append((count - 1) * stride + reach + 1)
        self.corners = (firsts[0], firsts[1])
        self.rows_columns = (counts[0], counts[1])
        self.frame_corners = (starts[0], starts[1])
        self.frame_size = (sizes[0], sizes[1])
        self._gaps = (gaps[0], gaps[1])
        # Zeros before and after the window in its frame, where they are the same for every origin.
        self.margins: tuple[tuple[int, int], ...] | None = None
        if all(len(np.unique(gap)) == 1 for gap in gaps):
            self.margins = tuple(
                (int(gaps[axis][0]), sizes[axis] - x.size[axis] - int(gaps[axis][0])) for axis in (0, 1)
            )

    def smaller_than(self, outputs: Array) -> bool:
        """Whether fewer outputs are touched than the map (1, h, w, c) has."""
        return self.rows_columns[0] * self.rows_columns[1] < outputs.shape[1] * outputs.shape[2]

    def frame(self, x: Edited) -> Array:
        """The change of all inputs that the touched outputs look at."""
        return placed(x.change, self._gaps, x.origin, list(self.frame_size))


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
    "conv_general_dilated": _convolution,
    "convert_element_type": _same_type,
    "dot_general": _matrix_product,
    "reduce_sum": _sum,
    "reduce_window_max": _max_pool,
    "reduce_window_sum": _sum_pool,
}
"""Rules by the name of the jaxpr's primitive."""
