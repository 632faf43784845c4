"""One victim: its requests made, every method applied to each, and the records written as soon as they are known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.config import Config
from experiments.controls.cells import LEFT_OUT, Cell
from experiments.controls.measure import as_record, measured_steps
from experiments.controls.other_task import with_other_task
from experiments.controls.rates import CostError
from experiments.controls.requests import every_request
from experiments.controls.steps import first_order_steps, other_steps
from experiments.pipeline import SeedRun, push_seed
from experiments.run.records import append_records, changed_settings, provenance, records_of
from experiments.victims.architectures import describe_model
from experiments.victims.cache import ingredients_of
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.files import settings_hash
from overunlearn_jax.services.service import HasWeights
from overunlearn_jax.types import Request


def measure_victim(
    config: Config, seed: int, cells: Sequence[Cell], honest_cost: float, path: Path, command: str
) -> None:
    """Adds the records of one seed's victim, cell by cell; those that are there are left out.

    `command` stands in each of them. Raises ValueError for a file with records of other settings.
    """
    settings = changed_settings(config)
    shared = {"settings": settings_hash(settings | {"honest_cost": honest_cost}), "seed": seed}
    known = records_of(path, str(shared["settings"]))
    done = {(record["seed"], record["method"], record["reading"]) for record in known}
    left = [cell for cell in cells if (seed, cell.method, cell.name) not in done]
    if not left:
        return
    ready = push_seed(config, seed)
    requests = _requests(config, seed, ready)
    shared |= {
        "victim": ready.victim.name,
        "model": describe_model(config.victim),
        "samples": len(requests[HONEST].labels),
        **provenance(command),
    }
    for cell in left:
        try:
            records = [shared | each for each in _records(config, cell, ready, requests, honest_cost)]
            told = f"{len(records)} requests"
        except CostError as error:
            records = [shared | {"method": cell.method, "reading": cell.name, LEFT_OUT: str(error)}]
            told = str(error)
        append_records(path, records)
        print(f"seed {seed}, {cell.method} {cell.name}: {told}", flush=True)


def _requests(config: Config, seed: int, ready: SeedRun) -> dict[str, Request]:
    def probabilities(images: np.ndarray) -> np.ndarray:
        return predict_in_batches(ready.victim.service.predict, images)

    requests = every_request(config, seed, ready)
    return with_other_task(requests, ready.splits.spec, config.attack.blending_ratio, probabilities)


def _records(
    config: Config, cell: Cell, ready: SeedRun, requests: dict[str, Request], honest_cost: float
) -> list[dict[str, Any]]:
    """Raises CostError where no rate costs what is asked for, or the honest request diverged."""
    splits, service, a = ready.splits, ready.victim.service, ready.classes.a
    assert isinstance(service, HasWeights)  # trained here
    model, before, classes = service.model, service.variables, splits.spec.num_classes
    rate, ingredients = None, ingredients_of(config.victim, splits)
    if cell.reading:
        after, rate = first_order_steps(cell, ingredients, before, requests, ready.keys.unlearn, a, honest_cost)
    else:
        after = other_steps(cell, ingredients, before, requests, ready.keys.unlearn)
    if HONEST not in after:
        raise CostError("the honest request diverged: there is nothing to compare with")
    deployed = evaluate(service.predict, splits.test, classes)
    shared = {
        "method": cell.method,
        "reading": cell.name,
        "rate": rate,
        "class_a_before": float(deployed.per_class[a]),
        "overall_before": deployed.overall,
    }
    return [shared | as_record(each) for each in measured_steps(model, before, after, splits.test, a, classes)]
