"""Rules for layers with windows: convolutions and pools. See `layers` for what a rule is."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from overunlearn_jax.pixel_edit.edited import Edited, added, cleaned, difference, placed, window_of
from overunlearn_jax.types import Array

CHANNELS_LAST = ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))  # images (n, h, w, c), kernels (h, w, in, out)


def bind(equation: Any, values: Sequence[Any]) -> Any:
    """Computes one equation of a jaxpr on arrays, as JAX itself would."""
    return equation.primitive.bind(*values, **equation.primitive.get_bind_params(equation.params))


def convolution(equation: Any, inputs: list[Any]) -> Edited | None:
    """`conv_general_dilated` of images with channels last."""
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


def max_pool(equation: Any, inputs: list[Any]) -> Edited | None:
    """`reduce_window_max` over rows and columns."""
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


def sum_pool(equation: Any, inputs: list[Any]) -> Edited | None:
    """`reduce_window_sum` over rows and columns."""
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
