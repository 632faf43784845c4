"""The way of an edit through a victim's jaxpr."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from jax.extend import core

from overunlearn_jax.pixel_edit.edited import Edited, whole
from overunlearn_jax.pixel_edit.layers import RULES
from overunlearn_jax.pixel_edit.windows import bind
from overunlearn_jax.types import Array

CALLS = {"jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "checkpoint", "remat", "remat2"}


class Whole(NamedTuple):
    """A value of which any part may differ from the unchanged image's."""

    value: Array


def walk(jaxpr: Any, constants: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """The outputs of `jaxpr`: `Edited` or `Whole` where they depend on an edited input, else an array."""
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, constants, strict=True))
    values.update(zip(jaxpr.invars, inputs, strict=True))

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, core.Literal) else values[variable]

    for equation in jaxpr.eqns:
        values.update(zip(equation.outvars, _step(equation, [read(each) for each in equation.invars]), strict=True))
    return [read(each) for each in jaxpr.outvars]


def _step(equation: Any, inputs: list[Any]) -> list[Any]:
    if not any(isinstance(each, Edited | Whole) for each in inputs):
        return _outputs(equation, inputs)
    if equation.primitive.name in CALLS:
        inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
        if isinstance(inner, core.ClosedJaxpr):
            return walk(inner.jaxpr, inner.consts, inputs)
        if isinstance(inner, core.Jaxpr):
            return walk(inner, (), inputs)
    rule = RULES.get(equation.primitive.name)
    if rule is not None and not any(isinstance(each, Whole) for each in inputs):
        output = rule(equation, inputs)
        if output is not None:
            return [output if isinstance(output, Edited) else Whole(output)]
    return [Whole(each) for each in _outputs(equation, [whole_value(each) for each in inputs])]


def _outputs(equation: Any, inputs: list[Any]) -> list[Any]:
    outputs = bind(equation, inputs)
    return list(outputs) if equation.primitive.multiple_results else [outputs]


def whole_value(value: Any) -> Any:
    """The array that stands behind an `Edited`, a `Whole` or an array."""
    if isinstance(value, Edited):
        return whole(value)
    return value.value if isinstance(value, Whole) else value
