"""Unlearning methods by name: from settings as text to something that can be called.

A new method is a file beside this one and a line in each of: `_MAKERS` here, `METHOD_FACTS` in facts.py, __init__.pyi,
and `LADDERS` in experiments/methods/grid.py. The tests that go over all methods say what is missing: the ranges of its
settings (tests/unlearn/test_methods.py), and what it costs (tests/unlearn/test_work.py).
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from overunlearn_jax.setting_text import read_settings as read_settings  # part of the package
from overunlearn_jax.setting_text import read_value
from overunlearn_jax.training import Progress, TrainSettings
from overunlearn_jax.types import DatasetSpec, Split
from overunlearn_jax.unlearn._fine_tuning import fine_tuning
from overunlearn_jax.unlearn._first_order import first_order
from overunlearn_jax.unlearn._gradient_ascent import gradient_ascent
from overunlearn_jax.unlearn._influence import influence
from overunlearn_jax.unlearn._neg_grad_plus import neg_grad_plus
from overunlearn_jax.unlearn._random_labels import random_labels
from overunlearn_jax.unlearn._retain_tuning import retain_tuning
from overunlearn_jax.unlearn._salun import salun
from overunlearn_jax.unlearn._scrub import scrub
from overunlearn_jax.unlearn.call import UnlearnFn
from overunlearn_jax.unlearn.dampening import selective_dampening
from overunlearn_jax.unlearn.exact import retrain
from overunlearn_jax.unlearn.facts import METHOD_FACTS
from overunlearn_jax.unlearn.own_function import user_method


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
