"""One method behind every defence: what each attacker's request costs class A there."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from experiments.config import Config
from experiments.controls.cells import Cell
from experiments.controls.rates import CostError, rate_at_cost
from experiments.defences.attackers import (
    CHOSEN,
    PUSHES,
    REPEATED,
    STATIC,
    Attack,
    against_a_monitor,
    in_parts,
    repeated,
    static_attacks,
)
from experiments.defences.false_alarms import alarm_records
from experiments.defences.method_bounds import bounds_of_a_method
from experiments.defences.remembered import RememberedService
from experiments.defences.rows import harm_record, outcome
from experiments.defences.scene import Scene
from experiments.defences.slowly import ask_slowly
from experiments.victims.cache import ingredients_of
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.data import take
from overunlearn_jax.defences.defended import DefendedService, defended
from overunlearn_jax.defences.hash_store import HashStore
from overunlearn_jax.defences.honest_steps import StepBound
from overunlearn_jax.defences.identification import identifier, lookup_by_hash
from overunlearn_jax.defences.monitor import Monitor
from overunlearn_jax.evaluation import evaluate, evaluate_all
from overunlearn_jax.models import predict_fn
from overunlearn_jax.services import recipes
from overunlearn_jax.services.fingerprint import weights_digest
from overunlearn_jax.services.recipes import MethodChoice
from overunlearn_jax.services.service import HasWeights, Service
from overunlearn_jax.types import Key, Variables
from overunlearn_jax.unlearn import along_step, read_settings

HONEST_RUNS = 9  # honest requests that a bound and a monitor know: the fewest that tell the 0.9 quantile
QUANTILE = 0.9
BITS_APART = 40  # of 256: the nearest other image is farther away
TARGETED = "first_order"  # the method of every gate, of the thresholds' curve and of the slow attackers
OTHERS = ("exact", "phash", "confidence")  # gates of the other methods: who gets through a gate depends on no method
AT_GATES = (HONEST, *STATIC, CHOSEN, *REPEATED)  # beside those who go back until a gate says yes


def method_records(config: Config, cell: Cell, scene: Scene, honest_cost: float) -> Iterator[dict[str, Any]]:
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
    known = {weights_digest(behind.variables): before}
    attacks = _attacks(scene)
    for defence, safe, asking in _cases(scene, service, key, attacks, full=cell.method == TARGETED):
        for attack in asking:
            yield shared | defence | harm_record(attack, safe, ready.keys.unlearn, splits.test, a, known)
    honest, ingredients = _bound(scene, key), ingredients_of(config.victim, splits)
    for name, inside in bounds_of_a_method(choice, ingredients, service, scene, honest):
        safe = defended(RememberedService(inside))
        for attack in attacks:
            yield shared | _named(name) | harm_record(attack, safe, ready.keys.unlearn, splits.test, a, known)
    if cell.method == TARGETED:
        yield from (shared | each for each in _slow_records(config, choice, scene, key))
        beside = alarm_records(
            _asked_together(scene, service, key),
            scene.bystander,
            scene.requests,
            (HONEST, *PUSHES),
            ready.keys.unlearn,
            splits.test,
            a,
        )
        yield from (shared | each for each in beside)


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
            predict = predict_fn(service.model, left.variables)
            metrics = evaluate_all({"left": predict}, splits.test, splits.spec.num_classes)["left"]
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


def _attacks(scene: Scene) -> list[Attack]:
    """Those that meet every defence but the gates."""
    requests, predict = scene.requests, scene.view.predict
    again = repeated(requests, lambda images: np.asarray(predict_in_batches(predict, images)))
    return [*static_attacks(requests), *against_a_monitor(requests), *again]


def _cases(
    scene: Scene, service: RememberedService, key: Key, attacks: list[Attack], *, full: bool
) -> Iterator[tuple[dict[str, Any], DefendedService, list[Attack]]]:
    """Each defence with those who ask; `full`: every gate at all thresholds."""
    of_gates = [each for each in attacks if each.name in AT_GATES]
    yield _named("none"), defended(service), attacks
    for gate in scene.gates:
        if full or (gate.shown and gate.name in OTHERS):
            retreats = scene.retreats[gate.name, gate.refuse]
            yield _named(gate.name, gate.refuse), defended(service, [gate.gate]), [*of_gates, *retreats]
    train = scene.ready.splits.train
    bound, monitor = _bound(scene, key), _monitor(scene, key)
    identify = identifier(train, lookup_by_hash(HashStore(train.images, scene.view.spec.bounds, bits=256)), BITS_APART)
    yield _named("identify"), defended(service, identify=identify), attacks
    yield _named("bound"), defended(service, bound=bound), attacks
    yield _named("monitor"), defended(service, monitor=monitor), attacks
    yield _named("identify, monitor"), defended(service, (), identify, monitor), attacks
    yield _named("identify, bound, monitor"), defended(service, (), identify, monitor, bound=bound), attacks


def _asked_together(scene: Scene, service: RememberedService, key: Key) -> dict[str, DefendedService]:
    """What an honest person's request may meet in company; "by request" tries each alone before it refuses it."""
    apart = _monitor(scene, key)._replace(in_parts=True, smallest=len(scene.ready.splits.train.labels))
    return {
        "bound": defended(service, bound=_bound(scene, key)),
        "monitor": defended(service, monitor=_monitor(scene, key)),
        "monitor, by request": defended(service, monitor=apart),
    }


def _named(defence: str, refuse: float | None = None) -> dict[str, Any]:
    return {"defence": defence, "refuse": refuse}


def _bound(scene: Scene, key: Key) -> StepBound:
    return StepBound(scene.ready.splits.train, key, HONEST_RUNS, QUANTILE)


def _monitor(scene: Scene, key: Key) -> Monitor:
    """It watches validation images: test images judge it."""
    return Monitor(scene.ready.splits.train, scene.ready.splits.validation, key, HONEST_RUNS)
