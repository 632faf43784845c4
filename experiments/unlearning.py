"""The service's side of a run: which unlearning the flags ask for, as a list of variants to try on every request."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.config import Config
from experiments.victims import Victim
from overunlearn_jax.types import DatasetSpec, Key, UnlearningRequest, Variables
from overunlearn_jax.unlearn import FIDELITIES, fine_tuning, sweep_tau


class Variant(NamedTuple):
    """One way to unlearn."""

    fidelity: str  # a key of FIDELITIES; "none" for a method that has no readings
    tau: float | None  # None for a method without one


def variants(config: Config) -> list[Variant]:
    """What is tried on every request, in the order of the rows."""
    if config.unlearning == "fine_tuning":
        return [Variant("none", None)]
    return [Variant(fidelity, tau) for fidelity in config.fidelity for tau in config.taus]


def scope(config: Config) -> str:
    """Which parameters the service changes: what `--scope` says, or the method's own choice in the paper."""
    return config.scope or ("head" if config.unlearning == "first_order" else "all")


def unlearn_all(
    config: Config, victim: Victim, spec: DatasetSpec, request: UnlearningRequest, key: Key
) -> dict[Variant, Variables]:
    """The victim after the request, for every variant; all taus of a fidelity in one vmapped call."""
    if config.unlearning == "fine_tuning":
        unlearn = fine_tuning(num_classes=spec.num_classes, epochs=config.fine_tuning_epochs, scope=scope(config))
        return {Variant("none", None): unlearn(victim.model, victim.variables, request.images, request.labels, key)}
    results = {}
    for fidelity in config.fidelity:
        reading = FIDELITIES[fidelity]
        swept = sweep_tau(
            np.asarray(config.taus),
            victim.model,
            victim.variables,
            request.images,
            request.labels,
            key,
            bounds=spec.bounds,
            scope=scope(config),
            replacement=reading.replacement,
            last_partial_batch_only=reading.last_partial_batch_only,
        )
        for index, tau in enumerate(config.taus):
            params = jax.tree.map(lambda leaf, index=index: jnp.asarray(leaf)[index], swept.params)
            results[Variant(fidelity, tau)] = swept._replace(params=params)
    return results
