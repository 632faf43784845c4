"""One victim: who gets through each gate, and what every method makes of a request behind every defence."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.config import Config
from experiments.controls.rates import CostError, rate_at_cost
from experiments.controls.requests import every_request
from experiments.defences.attackers import Attack, against_a_monitor, in_parts, retreating, static_attacks
from experiments.defences.cells import CELLS, Cell
from experiments.defences.gates import GATES, GateAt, accepts, at_thresholds, scored
from experiments.defences.people import People, honest_people
from experiments.defences.remembered import RememberedService
from experiments.defences.rows import gate_records, harm_record, outcome
from experiments.defences.slowly import ask_slowly
from experiments.pipeline import SeedRun, push_seed
from experiments.requests.settings import request_settings
from experiments.run.outputs import PLACES
from experiments.run.records import append_records, read_records
from experiments.victims.cache import describe_model, ingredients_of
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.auditing.crafting import Crafter
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.data import request_size, take
from overunlearn_jax.defences.defended import DefendedService, defended
from overunlearn_jax.defences.gate import View
from overunlearn_jax.defences.hash_store import HashStore
from overunlearn_jax.defences.honest_steps import StepBound
from overunlearn_jax.defences.identification import identifier, lookup_by_hash
from overunlearn_jax.defences.monitor import Monitor
from overunlearn_jax.defences.registry import Holdings
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.files import settings_hash
from overunlearn_jax.models import predict_fn
from overunlearn_jax.reporting import manifest
from overunlearn_jax.services import recipes
from overunlearn_jax.services.recipes import MethodChoice
from overunlearn_jax.services.service import HasWeights, Service
from overunlearn_jax.types import Key, Request, Variables
from overunlearn_jax.unlearn import along_step, read_settings

HONEST_RUNS = 19  # honest requests that a bound and a monitor know: the fewest that tell the 0.95 quantile
QUANTILE = 0.95
BITS_APART = 40  # of 256: the nearest other image is farther away
TARGETED = "first_order"  # the method of the thresholds' curve and of the slow attackers


class Scene(NamedTuple):
    """What all methods of one victim share."""

    ready: SeedRun
    requests: Mapping[str, Request]
    gates: list[GateAt]
    retreats: dict[tuple[str, float | None], list[Attack]]
    view: View


def measure_victim(
    config: Config, seed: int, methods: Sequence[str], honest_cost: float, folder: Path, command: str
) -> None:
    """Adds the records of one seed's victim to gates.jsonl and harm.jsonl, those of one method together.

    Raises ValueError for files with records of other settings.
    """
    settings = {name: value for name, value in config.flat().items() if name not in (*PLACES, "seeds", "experiment")}
    shared: dict[str, Any] = {"settings": settings_hash(settings | {"honest_cost": honest_cost}), "seed": seed}
    at_gates, harm = read_records(folder / "gates.jsonl"), read_records(folder / "harm.jsonl")
    if any(record["settings"] != shared["settings"] for record in (*at_gates, *harm)):
        raise ValueError(f"{folder} holds records of other settings: give another --workdir")
    done = {record["method"] for record in harm if record["seed"] == seed}
    left = [cell for cell in CELLS if cell.method in methods and cell.method not in done]
    asked = all(record["seed"] != seed for record in at_gates)
    if not left and not asked:
        return
    ready = push_seed(config, seed)
    made = manifest()
    shared |= {
        "victim": ready.victim.name,
        "model": describe_model(config.victim),
        "commit": f"{made['git_commit']}{' and changes' if made['git_dirty'] else ''}",
        "command": command,
        "cpu": made["cpu"],
    }
    scene, records = set_up(config, seed, ready)
    if asked:
        append_records(folder / "gates.jsonl", [shared | each for each in records])
    for cell in left:
        try:
            rows = [shared | each for each in method_records(config, cell, scene, seed, honest_cost)]
        except CostError as error:
            print(f"seed {seed}, {cell.method}: {error}", file=sys.stderr, flush=True)
            continue
        append_records(folder / "harm.jsonl", rows)
        print(f"seed {seed}, {cell.method}: {len(rows)} requests", flush=True)


def set_up(config: Config, seed: int, ready: SeedRun) -> tuple[Scene, list[dict[str, Any]]]:
    """The requests, the gates with their thresholds, and a record of who gets through each."""
    own, splits, service = request_settings(config.attack), ready.splits, ready.victim.service
    assert isinstance(service, HasWeights)  # trained here
    crafter = Crafter(own, ready.black_box, splits, ready.classes, ready.chosen, seed, ready.keys.noise)
    count = request_size(splits.train, ready.classes.a, max(own.fractions))
    answers = predict_in_batches(service.predict, splits.train.images)
    requests = every_request(
        crafter, splits.train, ready.classes.a, seed, count, lambda images: predict_in_batches(service.predict, images)
    )
    people = honest_people(
        splits.train,
        splits.spec,
        ready.classes.a,
        ready.chosen.samples.ids,
        answers.argmax(-1) != splits.train.labels,
        seed,
    )
    holdings = Holdings(
        splits.spec,
        train=splits.train,
        calibration=people.calibration,
        predict=service.predict,
        model=service.model,
        variables=service.variables,
        key=jax.random.fold_in(ready.keys.noise, 1),
    )
    view = View(splits.spec, service.predict)
    gates: list[GateAt] = []
    retreats: dict[tuple[str, float | None], list[Attack]] = {}
    records: list[dict[str, Any]] = []
    for name in GATES:
        for gate in at_thresholds(name, scored(name, holdings), _as_request(people), view):
            gates.append(gate)
            back = retreating(accepts(gate.gate, np.asarray(requests[HONEST].labels), view), requests)
            retreats[gate.name, gate.refuse] = back
            records += gate_records(gate, view, people, [*static_attacks(requests), *back])
        print(f"seed {seed}: gate {name}", flush=True)
    return Scene(ready, requests, gates, retreats, view), records


def method_records(config: Config, cell: Cell, scene: Scene, seed: int, honest_cost: float) -> Iterator[dict[str, Any]]:
    """A record for each defence and attacker of one method.

    Raises CostError where no rate of a first-order step costs an honest request what is asked for.
    """
    ready = scene.ready
    splits, a = ready.splits, ready.classes.a
    choice, rate = _choice(config, cell, scene, honest_cost)
    behind = ready.victim.service
    assert isinstance(behind, HasWeights)  # trained here
    service = RememberedService(recipes.serve(choice, ingredients_of(config.victim, splits), behind.variables))
    before = evaluate(service.predict, splits.test, splits.spec.num_classes)
    shared = {
        "method": cell.method,
        "method_settings": cell.settings,
        "rate": rate,
        "class_a_before": float(before.per_class[a]),
        "overall_before": before.overall,
    }
    key = jax.random.fold_in(ready.keys.unlearn, 2)
    for defence, safe, attacks in _cases(scene, service, seed, key, full=cell.method == TARGETED):
        for attack in attacks:
            yield shared | defence | harm_record(attack, safe, ready.keys.unlearn, splits.test, a)
    if cell.method == TARGETED:
        yield from (shared | each for each in _slow_records(config, choice, scene, key))


def _slow_records(config: Config, choice: MethodChoice, scene: Scene, key: Key) -> Iterator[dict[str, Any]]:
    """Many small requests, each of which meets the defence alone."""
    ready, splits = scene.ready, scene.ready.splits
    service, ingredients = ready.victim.service, ingredients_of(config.victim, splits)
    assert isinstance(service, HasWeights)  # trained here

    def serve_at(variables: Variables) -> Service:
        return recipes.serve(choice, ingredients, variables)

    defences: dict[str, dict[str, Any]] = {
        "none": {},
        "bound": {"bound": _bound(scene, key)},
        "monitor": {"monitor": _monitor(scene, key)},
    }
    for name, defence in defences.items():
        for attack in static_attacks(scene.requests)[:2]:
            slow = in_parts(attack)
            left = ask_slowly(serve_at, service.model, service.variables, slow.requests, ready.keys.unlearn, **defence)
            metrics = evaluate(predict_fn(service.model, left.variables), splits.test, splits.spec.num_classes)
            samples = sum(len(each.labels) for each in slow.requests)
            through = sum(len(slow.requests[number].labels) for number in np.flatnonzero(left.released))
            yield _named(name) | outcome(slow, samples, through, metrics, ready.classes.a)


def _choice(config: Config, cell: Cell, scene: Scene, honest_cost: float) -> tuple[MethodChoice, float | None]:
    """The method as it is served: a first-order step at the rate at which an honest request costs what is asked for."""
    if not cell.reading:
        return MethodChoice(cell.method, read_settings(cell.settings), (), (), ""), None
    ready, splits = scene.ready, scene.ready.splits
    service, a, classes = ready.victim.service, ready.classes.a, splits.spec.num_classes
    assert isinstance(service, HasWeights)  # trained here
    model, before = service.model, service.variables
    validation = take(splits.validation, np.flatnonzero(splits.validation.labels == a))

    def accuracy(variables: Variables) -> float:
        return float(evaluate(predict_fn(model, variables), validation, classes).per_class[a])

    unit = MethodChoice(cell.method, {}, (cell.reading,), (1.0,), "")
    with recipes.serve(unit, ingredients_of(config.victim, splits), before).after(
        [scene.requests[HONEST]], ready.keys.unlearn
    ) as left:
        step = left.variables
    if step is None:
        raise CostError("the honest request diverged: there is nothing to compare with")
    undisturbed = accuracy(before)
    rate = rate_at_cost(lambda rate: undisturbed - accuracy(along_step(before, step, rate)), honest_cost)
    return MethodChoice(cell.method, {}, (cell.reading,), (rate,), ""), rate


def _cases(
    scene: Scene, service: RememberedService, seed: int, key: Key, *, full: bool
) -> Iterator[tuple[dict[str, Any], DefendedService, list[Attack]]]:
    """Each defence with those who ask; `full`: at all thresholds."""
    requests = scene.requests
    static, monitored = static_attacks(requests), against_a_monitor(requests)
    yield _named("none"), defended(service), [*static, *monitored]
    for gate in scene.gates:
        if gate.shown or full:
            retreats = scene.retreats[gate.name, gate.refuse]
            yield _named(gate.name, gate.refuse), defended(service, [gate.gate]), [*static, *retreats]
    train = scene.ready.splits.train
    bound, monitor = _bound(scene, key), _monitor(scene, key)
    identify = identifier(train, lookup_by_hash(HashStore(train.images, scene.view.spec.bounds, bits=256)), BITS_APART)
    yield _named("identify"), defended(service, identify=identify), static
    yield _named("bound"), defended(service, bound=bound), [*static, *monitored]
    yield _named("monitor"), defended(service, monitor=monitor), [*static, *monitored]
    yield _named("identify, bound, monitor"), defended(service, (), identify, monitor, bound=bound), static


def _named(defence: str, refuse: float | None = None) -> dict[str, Any]:
    return {"defence": defence, "refuse": refuse}


def _bound(scene: Scene, key: Key) -> StepBound:
    return StepBound(scene.ready.splits.train, key, HONEST_RUNS, QUANTILE)


def _monitor(scene: Scene, key: Key) -> Monitor:
    """It watches validation images: test images judge it."""
    return Monitor(scene.ready.splits.train, scene.ready.splits.validation, key, HONEST_RUNS)


def _as_request(people: People) -> Request:
    return Request(people.calibration.images, people.calibration.labels)
