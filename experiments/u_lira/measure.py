"""One seed: models trained, asked to forget by every method, and their margins on all audited samples written down."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.config import Config
from experiments.controls.cells import Cell
from experiments.controls.rates import CostError
from experiments.controls.steps import first_order_steps, other_steps
from experiments.defences.cells import CELLS
from experiments.requests.settings import classes_of, load_splits
from experiments.run.keys import seed_keys
from experiments.run.records import append_records, changed_settings, provenance, records_of
from experiments.u_lira.audited import Audited, audited, train_or_find, trained_first
from experiments.victims.architectures import describe_model
from experiments.victims.cache import ingredients_of
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.files import settings_hash
from overunlearn_jax.forgetting import true_label_confidence
from overunlearn_jax.models import predict_fn
from overunlearn_jax.types import Request, Variables

FILE = "u_lira.jsonl"
NOTHING = "nothing"  # the method of models that were not asked to forget
DRAWS = 1_000_004  # folded into the seed's key of noise: who is audited
DECIMALS = 4  # of a margin, in nats


class Plan(NamedTuple):
    """How much is trained and forgotten."""

    models: int = 16
    requested: int = 100
    train_samples: int = 10_000
    honest_cost: float = 0.061


def measure_seed(config: Config, seed: int, plan: Plan, methods: Sequence[str], path: Path, command: str) -> None:
    """Adds a record for each model and method; those that are there are left out.

    Raises ValueError for a file with records of other settings, for more samples than there are, and for an odd number
    of models.
    """
    digest = settings_hash(changed_settings(config) | plan._asdict())
    known = (each for each in records_of(path, digest) if each["seed"] == seed)
    done = {(each["method"], each["reading"], each["model_number"]) for each in known}
    cells = [Cell(NOTHING), *(cell for cell in CELLS if cell.method in methods)]
    splits = load_splits(config, seed)
    a = classes_of(config.data, config.attack, splits.spec).a
    key = jax.random.fold_in(seed_keys(seed).noise, DRAWS)
    audit = audited(splits, a, plan.models, plan.requested, plan.train_samples, key)
    for number in trained_first(config, seed, audit):
        left = [cell for cell in cells if (cell.method, cell.name, number) not in done]
        if not left:
            continue
        before = train_or_find(config, seed, audit, number)
        shared = {
            "settings": digest,
            "seed": seed,
            "model": describe_model(config.victim),
            "model_number": number,
            "train_samples": plan.train_samples,
            "requested": plan.requested,
            "inside": audit.inside[number].astype(int).tolist(),
            **provenance(command),
        }
        for cell in left:
            after, rate = _forgotten(config, seed, cell, audit, number, before, a, plan.honest_cost)
            own = {"method": cell.method, "reading": cell.name, "rate": rate}
            append_records(path, [shared | own | _looked_at(config, audit, number, after, a)])
        print(f"seed {seed}, model {number + 1} of {plan.models}: {len(left)} methods", flush=True)


def _forgotten(
    config: Config, seed: int, cell: Cell, audit: Audited, number: int, before: Variables, a: int, honest_cost: float
) -> tuple[Variables | None, float | None]:
    """What is left after one model's request, None where it diverged; and the rate of a first-order step."""
    if cell.method == NOTHING:
        return before, None
    splits, own = audit.splits_of(number), audit.own(number)
    ingredients, requests = ingredients_of(config.victim, splits), {HONEST: Request(own.images, own.labels)}
    key = jax.random.fold_in(seed_keys(seed).unlearn, number)
    if not cell.reading:
        return other_steps(cell, ingredients, before, requests, key).get(HONEST), None
    try:
        after, rate = first_order_steps(cell, ingredients, before, requests, key, a, honest_cost)
    except CostError as error:
        print(f"seed {seed}, model {number + 1}, {cell.method}: {error}", flush=True)
        return None, None
    return after[HONEST], rate


def _looked_at(config: Config, audit: Audited, number: int, after: Variables | None, a: int) -> dict[str, Any]:
    """Margins on all audited samples, in their order; accuracies as fractions. All null where no model is left."""
    names = ("margins", "forget_accuracy", "overall", "class_a")
    if after is None:
        return dict.fromkeys(names)
    predict = predict_fn(ingredients_of(config.victim, audit.splits).architecture, after)
    answers = predict_in_batches(predict, audit.samples.images)
    if not np.isfinite(answers).all():
        return dict.fromkeys(names)
    right = answers.argmax(-1) == a
    tested = evaluate(predict, audit.splits.test, audit.splits.spec.num_classes)
    margins = true_label_confidence(answers, audit.samples.labels).round(DECIMALS).tolist()
    return {
        "margins": margins,
        "forget_accuracy": float(right[audit.inside[number]].mean()),
        "overall": tested.overall,
        "class_a": float(tested.per_class[a]),
    }
