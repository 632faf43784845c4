"""What every part of the config is made of: a setting with its help text and limits, checked when it is given."""

import dataclasses
import math
import typing
from dataclasses import field
from typing import Any

from overunlearn_jax.spelling import did_you_mean

MOST = 2**31 - 1  # of whole numbers: those of devices have 32 bits


def setting(
    default: Any,
    text: str,
    choices: tuple[str, ...] = (),
    least: float = -math.inf,
    most: float = math.inf,
    of: str = "",  # the one --search that reads it; empty: read always
) -> Any:
    """A field of a part of the config; `text` is its `--help`."""
    return field(default=default, metadata={"help": text, "choices": choices, "least": least, "most": most, "of": of})


def check_fields(part: Any) -> None:
    """Raises ValueError, naming the flag, for a value of another type, outside its limits, empty or given twice."""
    for spec in dataclasses.fields(part):
        value = getattr(part, spec.name)
        choices, least, most = (spec.metadata[key] for key in ("choices", "least", "most"))
        many = isinstance(spec.default, tuple)
        kind: Any = typing.get_args(spec.type)[0] if many else spec.type
        if isinstance(value, tuple) != many:
            raise ValueError(f"--{spec.name}={value}: expected {'a list' if many else 'one value'}")
        for item in value if isinstance(value, tuple) else (value,):
            if type(item) is not kind and not (kind is float and type(item) is int):
                raise ValueError(f"--{spec.name}={item!r}: expected {kind.__name__}")
            if choices and item not in choices:
                raise ValueError(
                    f"--{spec.name}={item}: expected one of {', '.join(choices)}{did_you_mean(item, choices)}"
                )
            if type(item) is int and item > MOST and most == math.inf:
                raise ValueError(f"--{spec.name}={item}: expected at most {MOST}")
            if isinstance(item, int | float) and not (math.isfinite(item) and least <= item <= most):
                raise ValueError(f"--{spec.name}={item}: expected a number from {_digits(least)} to {_digits(most)}")
        if isinstance(value, tuple) and len(set(value)) != len(value):
            raise ValueError(f"--{spec.name}={as_typed(value)}: a value is given twice")
        if kind is float and isinstance(value, tuple) and len({f"{item:g}" for item in value}) != len(value):
            raise ValueError(
                f"--{spec.name}={as_typed(value)}: two values are the same in six digits, by which the files of "
                "their figures and requests are named: leave out one of them"
            )
        if isinstance(value, tuple) and not value:
            raise ValueError(f"--{spec.name} is empty: give at least one value")


def _digits(limit: float) -> str:
    """A limit as one would type it: 4294967295 and not 4.29497e+09."""
    return str(limit) if isinstance(limit, int) else f"{limit:g}"


def as_typed(value: Any) -> str:
    """A value as on the command line."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
