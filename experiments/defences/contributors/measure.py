"""One seed: both attackers' samples trained on and deleted, by a first-order step and exactly, and honest twins."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.config import Config
from experiments.controls.rates import CostError
from experiments.controls.steps import first_order_steps
from experiments.defences.contributors.case_records import (
    CLEAN,
    CONTRIBUTED,
    CRAFTED,
    EXACT,
    NO_METHOD,
    NOTHING,
    ORDINARY,
    STEP,
    CaseRecords,
)
from experiments.defences.contributors.contributions import (
    Camouflage,
    Contribution,
    camouflaged,
    ordinary,
    pushed_in_place,
    subset,
)
from experiments.pipeline import SeedRun, push_seed
from experiments.requests.settings import classes_of, load_splits
from experiments.run.keys import seed_keys
from experiments.run.progress import TrainingBar
from experiments.run.records import changed_settings, provenance, read_records
from experiments.victims.architectures import describe_model
from experiments.victims.cache import Victim, ingredients_of, train_or_find
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.data import take
from overunlearn_jax.files import settings_hash
from overunlearn_jax.models import predict_fn
from overunlearn_jax.services import recipes
from overunlearn_jax.services.recipes import MethodChoice
from overunlearn_jax.services.service import HasWeights
from overunlearn_jax.types import Request, Split, Splits


class Plan(NamedTuple):
    """What is measured beside the settings of a run."""

    train_samples: int = 10_000
    honest_cost: float = 0.061
    camouflages: tuple[Camouflage, ...] = (Camouflage(),)


class Trained(NamedTuple):
    """A service, what it was trained on, and where exact deletions from it are kept."""

    name: str  # CLEAN or CONTRIBUTED
    splits: Splits
    victim: Victim


def measure_seed(config: Config, seed: int, plan: Plan, path: Path, command: str) -> None:
    """Adds the records of one seed; those that are there are left out.

    Raises ValueError for a file with records of other settings, and for contributions that are not possible.
    """
    settings = changed_settings(config)
    digest = settings_hash(settings | {"train_samples": plan.train_samples, "honest_cost": plan.honest_cost})
    if any(record["settings"] != digest for record in read_records(path)):
        raise ValueError(f"{path} holds records of other settings: give another --workdir")
    splits = subset(load_splits(config, seed), plan.train_samples, seed)
    classes = classes_of(config.data, config.attack, splits.spec)
    shared = {
        "settings": digest,
        "seed": seed,
        "model": describe_model(config.victim),
        "train_samples": len(splits.train.labels),
        **provenance(command),
    }
    none = dict.fromkeys(Camouflage._fields)
    _pushed(config, seed, plan, splits, CaseRecords(path, shared | {"attack": "pushed"} | none, classes.a, classes.b))
    for how in plan.camouflages:
        own = {"attack": "camouflaged", **how._asdict()}
        _camouflaged(config, seed, how, splits, CaseRecords(path, shared | own, classes.a, classes.b))


def _pushed(config: Config, seed: int, plan: Plan, splits: Splits, records: CaseRecords) -> None:
    """Pushed samples, crafted against a service that had the originals, and handed in in their place."""
    cases = [(trained, NO_METHOD, NOTHING) for trained in (CLEAN, CONTRIBUTED)]
    cases += [(trained, STEP.method, gone) for trained in (CLEAN, CONTRIBUTED) for gone in (ORDINARY, CRAFTED)]
    cases += [(CONTRIBUTED, EXACT, gone) for gone in (ORDINARY, CRAFTED)]
    if all(map(records.has, cases)):
        return
    ready = push_seed(config, seed, splits=splits)
    assert ready.chosen.pushed is not None  # the default attacks push
    crossed = np.flatnonzero(ready.chosen.pushed.crossed)
    if len(crossed) == 0:
        raise ValueError("no sample crossed the decision boundary: raise --max_steps, or take another --step_size")
    ids = ready.chosen.samples.ids[crossed]
    handed_in = pushed_in_place(splits.train, ids, np.asarray(ready.chosen.pushed.inside)[crossed])
    others = ordinary(splits.train, ready.classes.a, ids, len(splits.train.labels), seed)
    clean = Trained(CLEAN, splits, ready.victim)
    for trained in (clean, _trained(config, seed, splits, handed_in)):
        _deployed(records, trained)
        predict = trained.victim.service.predict
        right = predict_in_batches(predict, others.images).argmax(-1) == others.labels
        honest = take(others, np.flatnonzero(right)[: len(ids)])
        _steps(config, ready, plan, trained, {HONEST: _request(honest), CRAFTED: handed_in.request}, records)
        if trained is not clean:
            _exactly(config, seed, trained, honest, ORDINARY, records)
            _exactly(config, seed, trained, handed_in.deleted, CRAFTED, records)


def _camouflaged(config: Config, seed: int, how: Camouflage, splits: Splits, records: CaseRecords) -> None:
    """Poison that camouflage hides, until it is deleted; and the same person's images, handed in honestly."""
    classes = classes_of(config.data, config.attack, splits.spec)
    contribution, mine = camouflaged(splits.train, classes.a, classes.b, how, splits.spec.bounds, seed)
    count = len(contribution.deleted.labels)
    clean = Trained(CLEAN, splits, _train(config, seed, splits))
    _deployed(records, clean)
    honest = mine
    if count > len(mine.labels):  # several copies: the rest are other people's
        more = ordinary(splits.train, classes.a, mine.ids, count - len(mine.labels), seed)
        honest = Split(*(np.concatenate(both) for both in zip(mine, more, strict=True)))
    _exactly(config, seed, clean, honest, ORDINARY, records)
    poisoned = _trained(config, seed, splits, contribution)
    _deployed(records, poisoned)
    _exactly(config, seed, poisoned, contribution.deleted, CRAFTED, records)
    others = ordinary(poisoned.splits.train, classes.a, contribution.deleted.ids, count, seed)
    _exactly(config, seed, poisoned, others, ORDINARY, records)


def _train(config: Config, seed: int, splits: Splits) -> Victim:
    return train_or_find(config.victim, config.service, config.run, splits, seed, seed_keys(seed).train)


def _trained(config: Config, seed: int, splits: Splits, contribution: Contribution) -> Trained:
    own = splits._replace(train=contribution.train)
    return Trained(CONTRIBUTED, own, _train(config, seed, own))


def _request(split: Split) -> Request:
    return Request(split.images, split.labels)


def _deployed(records: CaseRecords, trained: Trained) -> None:
    case = (trained.name, NO_METHOD, NOTHING)
    if not records.has(case):
        records.write(case, trained.victim.service.predict, trained.splits, None)


def _steps(
    config: Config, ready: SeedRun, plan: Plan, trained: Trained, requests: Mapping[str, Request], records: CaseRecords
) -> None:
    """First-order steps, at the rate at which the honest request costs class A what is asked for."""
    cases = {HONEST: (trained.name, STEP.method, ORDINARY), CRAFTED: (trained.name, STEP.method, CRAFTED)}
    if all(map(records.has, cases.values())):
        return
    service, splits, a = trained.victim.service, trained.splits, ready.classes.a
    assert isinstance(service, HasWeights)  # trained here
    ingredients, key = ingredients_of(config.victim, splits), ready.keys.unlearn
    try:
        after, rate = first_order_steps(STEP, ingredients, service.variables, requests, key, a, plan.honest_cost)
    except CostError as error:
        print(f"seed {records.seed}, {STEP.method}, {trained.name}: {error}", file=sys.stderr, flush=True)
        return
    for name, case in cases.items():
        if not records.has(case):
            records.write(case, predict_fn(service.model, after[name]), splits, requests[name], rate=rate)


def _exactly(config: Config, seed: int, trained: Trained, gone: Split, name: str, records: CaseRecords) -> None:
    """Retrained without these samples; the service itself finds out which they are."""
    case = (trained.name, EXACT, name)
    if records.has(case):
        return
    service, bar = trained.victim.service, TrainingBar(f"without {name} samples, seed {seed}")
    assert isinstance(service, HasWeights)  # trained here
    serve = partial(recipes.serve, MethodChoice(EXACT, {}, (), (), ""), ingredients_of(config.victim, trained.splits))
    folder = trained.victim.retrained_folder(config.run.cache_dir)
    exact = serve(service.variables, folder, bar, bar.update)
    with exact.after([_request(gone)], seed_keys(seed).train) as left:
        if left.predict is None:
            raise ValueError(f"retraining without {name} samples diverged: {left.deletion.diverged}")
        if not np.array_equal(np.sort(left.deletion.matched_ids), np.sort(gone.ids)):  # type: ignore[arg-type]
            raise ValueError("the service deleted other samples than the request's: some images are alike")
        records.write(case, left.predict, trained.splits, _request(gone))
