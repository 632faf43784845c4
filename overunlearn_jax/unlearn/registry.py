"""Unlearning methods by name, and a user's own: from settings as text to something that can be called.

A new method is a file beside this one and a line in each of: `_MAKERS` here, `METHOD_FACTS` in facts.py, __init__.pyi,
and `LADDERS` in experiments/methods/grid.py. The tests that go over all methods say what is missing: the ranges of its
settings (tests/unlearn/test_methods.py), and what it costs (tests/unlearn/test_work.py).
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from overunlearn_jax.models import Model
from overunlearn_jax.training import Progress, TrainSettings
from overunlearn_jax.types import DatasetSpec, DivergedError, Images, Key, Labels, Request, Split, Variables
from overunlearn_jax.unlearn._fine_tuning import fine_tuning
from overunlearn_jax.unlearn._first_order import first_order
from overunlearn_jax.unlearn._gradient_ascent import gradient_ascent
from overunlearn_jax.unlearn._influence import influence
from overunlearn_jax.unlearn._neg_grad_plus import neg_grad_plus
from overunlearn_jax.unlearn._random_labels import random_labels
from overunlearn_jax.unlearn._retain_tuning import retain_tuning
from overunlearn_jax.unlearn._salun import salun
from overunlearn_jax.unlearn._scrub import scrub
from overunlearn_jax.unlearn.call import UnlearnFn, check_request
from overunlearn_jax.unlearn.dampening import selective_dampening
from overunlearn_jax.unlearn.exact import retrain
from overunlearn_jax.unlearn.facts import METHOD_FACTS
from overunlearn_jax.user_code import check_form, import_named, not_finite, running

_CALL = "unlearn(params, request, key, retain=None)"  # of a user's function


class Resources(NamedTuple):
    """What a service has, beside the model, that a method may be built with."""

    spec: DatasetSpec
    validation: Split
    train: TrainSettings
    directory: Path | None = None  # where long work of this model is kept
    on_step: Callable[[Progress], None] | None = None  # told of each step of long work


class Method(NamedTuple):
    """An unlearning method of this package."""

    make: Callable[..., UnlearnFn]
    needs_retained: bool
    about: str


_MAKERS: dict[str, Callable[..., UnlearnFn]] = {
    "first_order": first_order,
    "fine_tuning": fine_tuning,
    "gradient_ascent": gradient_ascent,
    "influence": influence,
    "neg_grad_plus": neg_grad_plus,
    "random_labels": random_labels,
    "salun": salun,
    "selective_dampening": selective_dampening,
    "scrub": scrub,
    "retain_tuning": retain_tuning,
    "retrain": retrain,
}
if odd := _MAKERS.keys() ^ {name for name, facts in METHOD_FACTS.items() if not facts.prepares}:
    raise ValueError(f"a method has its line in one of registry.py and facts.py alone, add the other: {', '.join(odd)}")
# Those that can be built around a trained model; a method that training prepares for makes a service of its own.
METHODS = {
    name: Method(_MAKERS[name], facts.needs_retained, facts.about)
    for name, facts in METHOD_FACTS.items()
    if not facts.prepares
}


def build(name: str, resources: Resources, settings: Mapping[str, str]) -> UnlearnFn:
    """The method `name` of METHODS, or the user's `my_module:my_function`, with settings such as {"steps": "50"}.

    Raises:
      ValueError: a name that is neither, a setting that the method does not have or cannot read, and where one is not
        given that has no default.
    """
    if ":" in name:
        if settings:
            raise ValueError(f"{name} takes no settings from here ({', '.join(settings)}): set them in the function")
        return user_method(name)
    if name not in METHODS:
        raise ValueError(f"unlearning is {name!r}; expected my_module:my_function or one of {', '.join(METHODS)}")
    provided = {
        "bounds": resources.spec.bounds,
        "num_classes": resources.spec.num_classes,
        "spec": resources.spec,
        "validation": resources.validation,
        "settings": resources.train,
        "directory": resources.directory,
        "on_step": resources.on_step,
        "clip": None,  # a transformation is no text: see `defences.bounds`
    }
    parameters = inspect.signature(METHODS[name].make).parameters
    own = {key: parameter.default for key, parameter in parameters.items() if key not in provided}
    unknown = sorted(settings.keys() - own.keys())
    if unknown:
        raise ValueError(f"{name} has no setting {', '.join(unknown)}; expected some of {', '.join(own)}")
    missing = [key for key, default in own.items() if default is inspect.Parameter.empty and key not in settings]
    if missing:
        raise ValueError(
            f"{name} needs the setting {', '.join(missing)}, which has no default: give {missing[0]}=NUMBER"
        )
    given = {key: provided[key] for key in parameters if key in provided}
    return METHODS[name].make(**given, **{key: read_value(name, key, text, own[key]) for key, text in settings.items()})


def read_settings(text: str) -> dict[str, str]:
    """`"steps=50,weight=0.9"` as a dict. Raises ValueError for a part that is no setting, or one given twice.

    Examples:
      >>> read_settings("steps=50, weight=0.9")
      {'steps': '50', 'weight': '0.9'}
    """
    settings: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not value or key in settings:
            raise ValueError(f"settings are {text!r}: {part!r} is wrong; expected name=value,name=value, each once")
        settings[key] = value
    return settings


def read_value(whose: str, key: str, text: str, default: Any) -> Any:
    """The value of a setting, of the type of its default: float where that is None or there is none.

    Raises:
      ValueError: a text that is none; the message says whose setting it is.

    Examples:
      >>> read_value("retrain", "epochs", "50", 30)
      50
    """
    kind = float if default in (None, inspect.Parameter.empty) else type(default)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{whose} cannot read {key}={text}: expected {kind.__name__}, as in {default}") from error


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
