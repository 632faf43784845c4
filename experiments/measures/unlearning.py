"""The service's side of a run: which unlearning the flags ask for, as a list of variants to try on every request."""

import inspect
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.config import Config
from experiments.run.progress import TrainingBar
from experiments.victims.cache import Victim, build_model, train_settings
from experiments.victims.sisa import sisa_settings
from overunlearn_jax.types import (
    DatasetSpec,
    DivergedError,
    Key,
    Labels,
    Request,
    Split,
    Splits,
    UnlearningRequest,
    Variables,
)
from overunlearn_jax.unlearn import (
    FIDELITIES,
    METHODS,
    Service,
    UnlearnFn,
    build,
    match_samples,
    partition_params,
    read_settings,
    sweep_tau,
    without,
)
from overunlearn_jax.unlearn.work import counting


class Variant(NamedTuple):
    """One way to unlearn."""

    fidelity: str  # a key of FIDELITIES; "none" for a method that has no readings
    tau: float | None  # None for a method without one


def variants(config: Config) -> list[Variant]:
    """What is tried on every request, in the order of the rows."""
    if config.unlearning == "first_order":
        return [Variant(fidelity, tau) for fidelity in config.fidelity for tau in config.taus]
    return [Variant("none", None)]


def scope(config: Config) -> str:
    """Which parameters the service changes: what `--scope` says, or the method's own choice."""
    if config.scope:
        return config.scope
    if config.unlearning == "sisa":
        return "all"
    if config.unlearning not in METHODS:
        return "the function's own"
    own = inspect.signature(METHODS[config.unlearning].make).parameters.get("scope")
    return own.default if own else "all"


class Unlearned(NamedTuple):
    """The victim after one request."""

    variables: dict[Variant, Variables | None]  # None: the method diverged
    gradient_evaluations: dict[Variant, int | None]  # None: it was not done, or nobody counted
    seconds: dict[Variant, float]  # of the method alone; those of variants made in one call are shared out
    found: dict[str, Any]  # for the rows: what the service made of the request
    why: str = ""  # what a method that diverged says of it


class Unlearner:
    """The service of one victim: its method, and the training data that it may still hold."""

    def __init__(self, config: Config, victim: Victim, splits: Splits):
        self._config = config
        self._victim = victim
        self._splits = splits
        self._bar = TrainingBar(config.unlearning)
        self._method = victim.unlearn
        if self._method is None and config.unlearning != "first_order":
            self._method = _method(config, splits, retrained_folder(config, victim), self._bar)

    def __call__(self, request: UnlearningRequest, key: Key) -> Unlearned:
        """The victim after the request, for every variant; None where the method diverged.

        Raises ValueError for a request of a class that the victim was not trained on.
        """
        check_classes(request.labels, self._splits.train, self._splits.spec)
        submitted = Request(request.images, request.labels)
        if self._method is None:
            return _first_order(self._config, self._victim, self._splits.spec, submitted, key)
        retain, found = self._retained(request)
        only = Variant("none", None)
        began = time.perf_counter()
        try:
            with counting() as work, self._bar:
                after = self._method(self._victim.model, self._victim.variables, *submitted, key, retain)
                jax.block_until_ready(after)
        except DivergedError as error:  # of this request; the next one may go well
            return Unlearned({only: None}, {only: None}, {only: time.perf_counter() - began}, found, str(error))
        seconds = time.perf_counter() - began
        counted = None if ":" in self._config.unlearning else work.gradient_evaluations  # a user's own are not seen
        return Unlearned({only: after}, {only: counted}, {only: seconds}, found)

    def _retained(self, request: UnlearningRequest) -> tuple[Split | None, dict[str, Any]]:
        """The training data without what the submitted images are nearest to, for a method that may use it."""
        name = self._config.unlearning
        if name in METHODS and not METHODS[name].needs_retained:
            return None, {}
        rows = match_samples(request.images, self._splits.train).rows
        right = float((self._splits.train.ids[rows] == request.original_ids).mean())
        return without(self._splits.train, rows), {"matched_to_original": right}


def check_classes(labels: Labels, train: Split, spec: DatasetSpec) -> None:
    """Raises ValueError where a request's labels (n,) name a class that the training data has no sample of."""
    unseen = np.setdiff1d(labels, train.labels)
    if len(unseen) == 0:
        return
    names = [spec.class_names[label] if 0 <= label < spec.num_classes else f"number {label}" for label in unseen]
    held = ", ".join(spec.class_names[label] for label in np.unique(train.labels))
    raise ValueError(
        f"the request names the class {', '.join(names)}, which the model never saw; expected some of those that it "
        f"was trained on: {held}"
    )


def retrained_folder(config: Config, victim: Victim) -> Path:
    """Where models lie that were trained without some of a victim's data."""
    return Path(config.cache_dir) / "retrained" / victim.name


def check_method(config: Config, splits: Splits) -> None:
    """Builds the model and the method once, before hours of training and pushing, and forgets them.

    Raises ValueError for what neither can be built of: a function that is not there, settings that the method does not
    have or cannot read. And for a scope that matches no parameter of the model.
    """
    model = build_model(config, splits.spec)
    if config.unlearning == "sisa":
        sisa_settings(config)
    elif config.unlearning != "first_order":
        _method(config, splits, None, TrainingBar(config.unlearning))
    if config.unlearning in METHODS:
        params = jax.eval_shape(model.init, jax.random.key(0)).params
        partition_params(params, _settings(config).get("scope", scope(config)))


def _settings(config: Config) -> dict[str, str]:
    settings = read_settings(config.method_settings)
    return settings | {"scope": config.scope} if config.scope else settings


def _method(config: Config, splits: Splits, folder: Path | None, bar: TrainingBar) -> UnlearnFn:
    service = Service(splits.spec, splits.validation, train_settings(config), folder, bar.update)
    return build(config.unlearning, service, _settings(config))


def _first_order(config: Config, victim: Victim, spec: DatasetSpec, request: Request, key: Key) -> Unlearned:
    """All taus of a reading in one vmapped call, which takes their common gradient once."""
    results: dict[Variant, Variables | None] = {}
    gradients: dict[Variant, int | None] = {}
    seconds: dict[Variant, float] = {}
    for fidelity in config.fidelity:
        reading = FIDELITIES[fidelity]
        began = time.perf_counter()
        with counting() as work:
            swept = sweep_tau(
                np.asarray(config.taus),
                victim.model,
                victim.variables,
                *request,
                key,
                bounds=spec.bounds,
                scope=scope(config),
                replacement=reading.replacement,
                last_partial_batch_only=reading.last_partial_batch_only,
            )
        jax.block_until_ready(swept)
        each = (time.perf_counter() - began) / len(config.taus)
        for index, tau in enumerate(config.taus):
            params = jax.tree.map(lambda leaf, index=index: jnp.asarray(leaf)[index], swept.params)
            results[Variant(fidelity, tau)] = swept._replace(params=params)
            gradients[Variant(fidelity, tau)] = work.gradient_evaluations
            seconds[Variant(fidelity, tau)] = each
    return Unlearned(results, gradients, seconds, {})
