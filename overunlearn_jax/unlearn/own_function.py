"""A user's own function as an unlearning method: given copies, and what it returns looked at."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from overunlearn_jax.models import Model
from overunlearn_jax.types import DivergedError, Images, Key, Labels, Request, Split, Variables
from overunlearn_jax.unlearn.call import UnlearnFn, check_request
from overunlearn_jax.user_code import check_form, import_named, not_finite, running

_CALL = "unlearn(params, request, key, retain=None)"


def user_method(name: str) -> UnlearnFn:
    """The user's function `unlearn(params, request, key, retain=None)` as a method.

    `params` is the model's `Variables` (what is trained, and statistics); the function returns its own in the same
    form. `request` is a `Request`: images and labels as submitted. `retain` is a `Split` of the training data without
    the samples that the submitted images are nearest to: `without(train, match_samples(images, train).rows)`.

    The function may change `params` and `request` in place: they are copies. The arrays of `retain` are too large to
    copy and can only be read.

    Raises:
      ValueError: a name that cannot be imported or what cannot be called so; from the method itself, a wrong request
        and where it returns another tree than `params`.
      UserCodeError: from the method itself, a ValueError with the cause, where the function raises.
      DivergedError: from the method itself, weights that are not finite.
    """
    function = import_named(name)
    if not callable(function):
        raise ValueError(f"{name} is a {type(function).__name__}; expected {_CALL}")
    _check_signature(name, function)

    def unlearn_fn(
        model: Model, variables: Variables, images: Images, labels: Labels, key: Key, retain: Split | None = None
    ) -> Variables:
        check_request(model, variables, images, labels)
        own = jax.tree.map(_copied, variables)  # new containers, too
        request = Request(np.array(images), np.array(labels))
        held = None if retain is None else Split(*map(_read_only, retain))
        with running(name, _CALL):
            returned = function(own, request, key, retain=held)
        check_form(name, returned, variables, "return params as they came, a Variables, with new numbers")
        if path := not_finite(returned):
            raise DivergedError(f"{name} returned {path} with NaN or infinity: it diverged")
        return returned

    return unlearn_fn


def _copied(leaf: Any) -> Any:
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf  # JAX's arrays do not change


def _read_only(array: np.ndarray) -> np.ndarray:
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def _check_signature(name: str, function: Callable[..., Any]) -> None:
    try:
        signature = inspect.signature(function)
    except ValueError:  # written in C, without one
        return
    try:
        signature.bind(None, None, None, retain=None)
    except TypeError as error:
        raise ValueError(f"{name}{signature} cannot be called as {_CALL}: {error}") from error
