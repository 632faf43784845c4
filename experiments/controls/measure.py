"""What each request does to a model, and what an honest one does whose step is as long."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.evaluation import evaluate_all
from overunlearn_jax.models import Model, predict_fn
from overunlearn_jax.types import Split, Variables
from overunlearn_jax.unlearn import along_step, step_cosine, step_length


class Measured(NamedTuple):
    """One request of one victim under one method. Accuracies are fractions of test images."""

    request: str
    length: float  # L2 norm of the step in the parameters
    times_honest: float  # that length over the honest request's
    cosine: float  # of the step with the honest request's
    class_a: float  # left after it
    overall: float
    class_a_of_longer_honest: float  # after the honest step, made as long as this one
    overall_of_longer_honest: float
    class_a_shortened: float  # after this step, made as long as the honest one
    overall_shortened: float


def measured_steps(
    model: Model, before: Variables, after: Mapping[str, Variables], test: Split, class_a: int, num_classes: int
) -> list[Measured]:
    """A record for each request; `after` has the honest one. Weights that diverged have NaN accuracies.

    Raises ValueError where the honest request does not move the model.
    """
    honest = after[HONEST]
    unit = step_length(before, honest)
    if unit == 0:
        raise ValueError("the honest request does not move the model: there is no step to compare with")
    lengths = {name: step_length(before, each) for name, each in after.items()}
    models = {}
    for name, each in after.items():
        times = lengths[name] / unit
        diverged = not math.isfinite(times)
        models[name] = each
        models[f"longer {name}"] = each if diverged else along_step(before, honest, times)
        models[f"shorter {name}"] = each if diverged else along_step(before, each, 1 / times) if times else before
    found = evaluate_all({name: predict_fn(model, each) for name, each in models.items()}, test, num_classes)

    def accuracies(name: str) -> tuple[float, float]:
        metrics = found[name]
        return (math.nan, math.nan) if metrics is None else (float(metrics.per_class[class_a]), metrics.overall)

    return [
        Measured(
            name,
            lengths[name],
            lengths[name] / unit,
            step_cosine(before, honest, after[name]),
            *accuracies(name),
            *accuracies(f"longer {name}"),
            *accuracies(f"shorter {name}"),
        )
        for name in after
    ]


def as_record(measured: Measured) -> dict[str, Any]:
    """For JSON: NaN as null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in measured._asdict().items()
    }
