"""An attacker who asks for little at a time: each request meets the defence, and the model that the last one left."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from overunlearn_jax.defences.bounded_service import BoundedService
from overunlearn_jax.defences.bounds import shortened
from overunlearn_jax.defences.honest_steps import StepBound
from overunlearn_jax.defences.monitor import Monitor, Watcher, within_limits
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.models import Model, predict_fn
from overunlearn_jax.services.service import Service
from overunlearn_jax.types import Key, Request, Variables

REQUESTS = 1_000_006  # folded into the caller's key, of which calibration has other parts
ServeAt = Callable[[Variables], Service]  # weights to a service that forgets from them on


class Left(NamedTuple):
    """What many requests left."""

    variables: Variables
    released: np.ndarray  # shape=(requests,), dtype=bool: which of them changed the model


def ask_slowly(
    serve_at: ServeAt,
    model: Model,
    variables: Variables,
    requests: Sequence[Request],
    key: Key,
    *,
    bound: StepBound | None = None,
    monitor: Monitor | None = None,
) -> Left:
    """The model after the requests, each forgotten from where the last one left it.

    What an honest request of the same size takes is found once, of the model as it was at first: a server that
    calibrates once. A request that diverges, or that the monitor rolls back, changes nothing.
    """
    deployed, key = serve_at(variables), jax.random.fold_in(key, REQUESTS)
    bounded = None if bound is None else BoundedService(deployed, bound)
    watcher = None if monitor is None else Watcher(monitor, deployed)
    released = np.zeros(len(requests), bool)
    for number, request in enumerate(requests):
        with serve_at(variables).after([request], jax.random.fold_in(key, number)) as left:
            after = left.variables
        if after is None:
            continue
        if bounded is not None:
            [longest] = bounded.longest([request]).values()
            after = shortened(variables, after, longest)
        if watcher is not None and monitor is not None:
            [limits] = watcher.limits([request]).values()
            if not within_limits(_lost(model, variables, after, monitor), limits.most):
                continue
        variables, released[number] = after, True
    return Left(variables, released)


def _lost(model: Model, before: Variables, after: Variables, monitor: Monitor) -> np.ndarray:
    """Fractions of each class's accuracy, shape=(k,); NaN for a class without test images."""
    classes = int(monitor.test.labels.max()) + 1
    accuracies = [evaluate(predict_fn(model, each), monitor.test, classes).per_class for each in (before, after)]
    return accuracies[0] - accuracies[1]
