"""What a request takes beyond accuracy: robustness, calibration, and what is still known near forgotten samples.

Of the first-order step, at the rate of the suite: the model before, after the honest request, after the push, after the
push behind the bound on the step; and, where it is asked for, retrained without the honest request's samples.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.config import Config
from experiments.controls.rates import CostError
from experiments.controls.requests import crafted_requests
from experiments.controls.steps import first_order_choice, first_order_steps
from experiments.defences.cases import HONEST_RUNS, QUANTILE
from experiments.defences.cells import CELLS
from experiments.pipeline import SeedRun, push_seed
from experiments.run.progress import TrainingBar
from experiments.run.records import append_records, changed_settings, provenance, records_of
from experiments.victims.architectures import describe_model
from experiments.victims.cache import ingredients_of
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.data import take
from overunlearn_jax.defences.bounded_service import BoundedService
from overunlearn_jax.defences.bounds import shortened
from overunlearn_jax.defences.honest_steps import StepBound
from overunlearn_jax.files import settings_hash
from overunlearn_jax.models import predict_fn
from overunlearn_jax.robustness import (
    Pgd,
    accuracy_under_pgd,
    brier_score,
    expected_calibration_error,
    neighbourhood_shares,
)
from overunlearn_jax.services import recipes
from overunlearn_jax.services.recipes import MethodChoice
from overunlearn_jax.services.service import HasWeights
from overunlearn_jax.types import Request, Split, Variables

FILE = "robustness.jsonl"
PUSH, BOUNDED, BEFORE, RETRAINED = "pushing_1", "pushing_1, bounded", "before", "retrained"
RADII = {"linf": (0.5 / 255, 1 / 255, 2 / 255, 4 / 255), "l2": (0.05, 0.1, 0.25, 0.5)}  # pixels in a range of 1
BOUND: dict[str, Any] = {"requests": HONEST_RUNS, "quantile": QUANTILE}  # as in the suite
NEAR = (0.5, 1.0, 2.0)  # L2 around forgotten samples; 2.0 moves a pixel of CIFAR-10 by 9/255


class Look(NamedTuple):
    """How closely models are looked at."""

    samples: int = 500  # test images of class A, and as many of the others, at most
    steps: int = 20
    retrained: bool = False


def measure_robustness(config: Config, seed: int, honest_cost: float, folder: Path, command: str, look: Look) -> None:
    """Adds the records of one seed's victim to robustness.jsonl, all of a model together; those there are left out.

    Raises ValueError for a file with records of other settings.
    """
    path = folder / FILE
    settings = changed_settings(config)
    digest = settings_hash(settings | {"honest_cost": honest_cost, **look._replace(retrained=False)._asdict(), **BOUND})
    known = records_of(path, digest)
    wanted = [BEFORE, HONEST, PUSH, BOUNDED, *([RETRAINED] if look.retrained else [])]
    done = {record["state"] for record in known if record["seed"] == seed}
    if done.issuperset(wanted):
        return
    ready = push_seed(config, seed)
    shared = {
        "settings": digest,
        "seed": seed,
        "model": describe_model(config.victim),
        **provenance(command),
    }
    requests = crafted_requests(config, seed, ready, (HONEST, PUSH))
    try:
        states, rate = _states(config, ready, requests, honest_cost)
    except CostError as error:
        print(f"seed {seed}, robustness: {error}", file=sys.stderr, flush=True)
        return
    for name in wanted:
        if name not in done:
            after = _retrained(config, ready, requests[HONEST]) if name == RETRAINED else states[name]
            rows = measured(ready, after, requests[HONEST], look)
            append_records(path, [shared | {"state": name, "rate": rate} | row for row in rows])
            print(f"seed {seed}, robustness: {name}", flush=True)


def measured(ready: SeedRun, variables: Variables, forgotten: Request, look: Look) -> list[dict[str, Any]]:
    """The records of one model: a measure, where it was taken, its value. Accuracies and shares are fractions."""
    splits, service, a = ready.splits, ready.victim.service, ready.classes.a
    assert isinstance(service, HasWeights)  # trained here
    bounds, predict = splits.spec.bounds, predict_fn(service.model, variables)
    groups = {"class_a": _first(splits.test, a, look.samples), "others": _first(splits.test, None, look.samples, a)}
    key, rows = ready.keys.noise, []

    def add(measure: str, group: str, value: float, norm: str | None = None, radius: float | None = None) -> None:
        number = None if np.isnan(value) else float(value)
        rows.append({"measure": measure, "group": group, "norm": norm, "radius": radius, "value": number})

    for group, split in groups.items():
        if len(split.labels) == 0:
            continue
        answers = predict_in_batches(predict, split.images)
        add("accuracy", group, float(np.mean(answers.argmax(-1) == split.labels)))
        add("calibration_error", group, expected_calibration_error(answers, split.labels))
        add("brier", group, brier_score(answers, split.labels))
        for norm, radii in RADII.items():
            found = accuracy_under_pgd(service.model, variables, split, radii, bounds, key, Pgd(norm, steps=look.steps))
            for radius, metrics in found.items():
                add("accuracy_under_pgd", group, metrics.overall, norm, radius)
    for radius in (0.0, *NEAR):
        shares = neighbourhood_shares(
            predict, forgotten.images, forgotten.labels, radius, bounds, key, draws=32 if radius else 1
        )
        add("right_near_forgotten", "forgotten", float(shares.mean()), "l2", radius)
    return rows


def _first(test: Split, label: int | None, count: int, but: int = -1) -> Split:
    """The first test images of a class, or of all but one."""
    rows = np.flatnonzero(test.labels == label if label is not None else test.labels != but)
    return take(test, rows[:count])


def _states(
    config: Config, ready: SeedRun, requests: Mapping[str, Request], honest_cost: float
) -> tuple[dict[str, Variables], float]:
    """The models by what was done to them. Raises CostError where no rate costs what is asked for."""
    splits, service, a = ready.splits, ready.victim.service, ready.classes.a
    assert isinstance(service, HasWeights)  # trained here
    before, cell = service.variables, CELLS[0]
    ingredients = ingredients_of(config.victim, splits)
    after, rate = first_order_steps(cell, ingredients, before, requests, ready.keys.unlearn, a, honest_cost)
    bound = StepBound(splits.train, jax.random.fold_in(ready.keys.unlearn, 2), **BOUND)
    choice = first_order_choice(cell, rate)
    [longest] = BoundedService(recipes.serve(choice, ingredients, before), bound).longest([requests[PUSH]]).values()
    return {BEFORE: before, **after, BOUNDED: shortened(before, after[PUSH], longest)}, rate


def _retrained(config: Config, ready: SeedRun, honest: Request) -> Variables:
    service, bar = ready.victim.service, TrainingBar("retrained")
    assert isinstance(service, HasWeights)  # trained here
    choice, ingredients = MethodChoice("retrain", {}, (), (), ""), ingredients_of(config.victim, ready.splits)
    folder = ready.victim.retrained_folder(config.run.cache_dir)
    exact = recipes.serve(choice, ingredients, service.variables, folder, bar, bar.update)
    with exact.after([honest], ready.keys.unlearn) as left:
        if left.variables is None:
            raise ValueError(f"retraining diverged: {left.deletion.diverged}")
        return left.variables
