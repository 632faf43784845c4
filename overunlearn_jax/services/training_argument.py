"""Which argument of a user's class or function is given the training data."""

import inspect
from collections.abc import Callable
from typing import Any

from overunlearn_jax.types import Split

NAMES = ("train", "data")  # given the training data, whatever their defaults


def training_argument(make: Callable[..., Any]) -> inspect.Parameter | None:
    """The argument of one of `NAMES`, or else the first positional one without a default; None where there is none.

    >>> training_argument(lambda weights="model.pt": weights) is None
    True
    >>> training_argument(lambda weights="model.pt", train=None: weights).name
    'train'
    """
    taken = [each for each in inspect.signature(make).parameters.values() if each.kind not in _ANY_NUMBER]
    named = (each for name in NAMES for each in taken if each.name == name)
    needed = (each for each in taken if each.default is each.empty and each.kind is not each.KEYWORD_ONLY)
    return next(named, next(needed, None))


def made_with(make: Callable[..., Any], train: Split | None) -> Any:
    """What `make` makes, given the training data where it has an argument for it, and nothing else."""
    argument = training_argument(make)
    if argument is None:
        return make()
    if argument.kind is argument.POSITIONAL_ONLY:
        return make(train)
    return make(**{argument.name: train})


_ANY_NUMBER = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
