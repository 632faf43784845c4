"""From a method's name and settings to a service: what to check before training, what to train, how it forgets."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from overunlearn_jax.models import Model
from overunlearn_jax.services.local import LocalService
from overunlearn_jax.services.service import ONLY, Service, Variant
from overunlearn_jax.services.sisa import SlicesProgress, read_sharding, train_sisa
from overunlearn_jax.services.sweep import SweepFn, SweepService
from overunlearn_jax.training import Progress, TrainSettings
from overunlearn_jax.types import Key, Request, Splits, Variables
from overunlearn_jax.unlearn import FIDELITIES, METHODS, partition_params, sweep_tau
from overunlearn_jax.unlearn.facts import METHOD_FACTS, facts_of
from overunlearn_jax.unlearn.registry import Resources, build


class MethodChoice(NamedTuple):
    """Which method, and how: what flags say of it."""

    name: str  # a key of METHOD_FACTS, or my_module:my_function
    settings: Mapping[str, str]  # of the method, as text
    fidelity: tuple[str, ...]  # readings of a method with rates
    taus: tuple[float, ...]  # rates of a method with rates
    scope: str  # which parameters change; empty: the method's own choice


class Ingredients(NamedTuple):
    """What a service is made of, whatever its method."""

    splits: Splits
    architecture: Model  # of the victim, or of each member of an ensemble
    train: TrainSettings


class Prepared(NamedTuple):
    """What training for a method needs beside the ingredients."""

    key: Key
    directory: Path  # of the trained parts
    progress: SlicesProgress


TrainingProgress = AbstractContextManager[object]


def variants(choice: MethodChoice) -> tuple[Variant, ...]:
    """The ways in which a service of this choice forgets, in the order of rows."""
    if facts_of(choice.name).has_rates:
        return tuple(Variant(fidelity, tau) for fidelity in choice.fidelity for tau in choice.taus)
    return (ONLY,)


def scope(choice: MethodChoice) -> str:
    """Which parameters the method changes: what was asked for, or its own choice."""
    if choice.scope:
        return choice.scope
    if choice.name not in METHOD_FACTS:
        return "the function's own"
    if choice.name not in METHODS:
        return "all"
    own = inspect.signature(METHODS[choice.name].make).parameters.get("scope")
    return own.default if own else "all"


def check(choice: MethodChoice, ingredients: Ingredients) -> None:
    """Builds the method once, before hours of training and pushing; a user's function forgets one sample as a trial.

    The trial is of weights that nothing has trained. Raises ValueError for what cannot be built: a function that is not
    there, settings that the method does not have or cannot read, a scope that matches no parameter of the model; for a
    user's function that raises, or that returns something else than weights.
    """
    if choice.name in _PREPARED:
        prepared_settings(choice, ingredients.train)
        return
    if not facts_of(choice.name).has_rates:
        _method(choice, ingredients, None, None)
    if choice.name not in METHOD_FACTS:
        _try_once(choice, ingredients)
    if choice.name in METHODS:
        params = jax.eval_shape(ingredients.architecture.init, jax.random.key(0)).params
        partition_params(params, _settings(choice).get("scope", scope(choice)))


def prepared_settings(choice: MethodChoice, train: TrainSettings) -> dict[str, object]:
    """What decides a victim's weights because training prepares for the method; empty for most methods.

    Raises:
      ValueError: settings that the method does not have, or that cannot be read.
    """
    return _PREPARED[choice.name].described(choice, train) if choice.name in _PREPARED else {}


def training_passes(choice: MethodChoice, train: TrainSettings) -> float:
    """Images that a victim's training looks at, as a multiple of the training data times `train.epochs`."""
    return _PREPARED[choice.name].passes(choice, train) if choice.name in _PREPARED else 1.0


def prepare(choice: MethodChoice, ingredients: Ingredients, prepared: Prepared) -> Service:
    """The service of a method that training prepares for; trains what its directory does not hold."""
    return _PREPARED[choice.name].train(choice, ingredients, prepared)


def serve(
    choice: MethodChoice,
    ingredients: Ingredients,
    variables: Variables,
    directory: Path | None = None,
    progress: TrainingProgress | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> Service:
    """The service of any other method, around trained weights of the architecture.

    `directory` keeps models that the method trains anew; `progress` is entered while the method runs, and `on_step`
    called after each training step.
    """
    spec, model, train = ingredients.splits.spec, ingredients.architecture, ingredients.splits.train
    facts = facts_of(choice.name)
    if facts.has_rates:
        return SweepService(
            spec,
            model,
            variables,
            {name: _reading(choice, ingredients, name) for name in choice.fidelity},
            choice.taus,
            train=train,
        )
    return LocalService(
        spec,
        model,
        variables,
        _method(choice, ingredients, directory, on_step),
        train=train,
        gives_retained=facts.needs_retained,
        counts_work=choice.name in METHODS,
        progress=progress,
    )


def _try_once(choice: MethodChoice, ingredients: Ingredients) -> None:
    init_key, forget_key = jax.random.split(jax.random.key(0))
    variables = jax.jit(ingredients.architecture.init)(init_key)
    train = ingredients.splits.train
    with serve(choice, ingredients, variables).after([Request(train.images[:1], train.labels[:1])], forget_key):
        pass  # that it diverges of such weights says nothing


def _reading(choice: MethodChoice, ingredients: Ingredients, name: str) -> SweepFn:
    reading = FIDELITIES[name]
    sweep: Any = partial(
        sweep_tau,
        bounds=ingredients.splits.spec.bounds,
        scope=scope(choice),
        replacement=reading.replacement,
        last_partial_batch_only=reading.last_partial_batch_only,
    )
    return sweep


def _settings(choice: MethodChoice) -> dict[str, str]:
    return {**choice.settings} | ({"scope": choice.scope} if choice.scope else {})


def _method(
    choice: MethodChoice,
    ingredients: Ingredients,
    directory: Path | None,
    on_step: Callable[[Progress], None] | None,
) -> Any:
    splits = ingredients.splits
    resources = Resources(splits.spec, splits.validation, ingredients.train, directory, on_step)
    return build(choice.name, resources, _settings(choice))


class _Sisa:
    """Shards and slices."""

    @staticmethod
    def described(choice: MethodChoice, train: TrainSettings) -> dict[str, object]:
        sharding = read_sharding(choice.settings, train)
        return {"sisa": sharding.settings._asdict(), "aggregation": sharding.aggregation}

    @staticmethod
    def passes(choice: MethodChoice, train: TrainSettings) -> float:
        settings = read_sharding(choice.settings, train).settings
        return (settings.slices + 1) / 2 * settings.epochs / train.epochs

    @staticmethod
    def train(choice: MethodChoice, ingredients: Ingredients, prepared: Prepared) -> Service:
        splits = ingredients.splits
        return train_sisa(
            splits.spec,
            ingredients.architecture,
            splits.train,
            read_sharding(choice.settings, ingredients.train),
            prepared.key,
            prepared.directory,
            prepared.progress,
        )


_PREPARED = {"sisa": _Sisa}
