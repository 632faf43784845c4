"""One method behind every defence: what each attacker's request costs class A there."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from experiments.config import Config
from experiments.controls.cells import Cell
from experiments.controls.steps import first_order_choice, first_order_steps
from experiments.defences.attackers import PUSHES, Attack, in_parts, static_attacks
from experiments.defences.cases import (
    Case,
    asked_together,
    calibration_key,
    cases,
    every_attack,
    monitor_of,
    step_bound,
)
from experiments.defences.false_alarms import alarm_record, in_company
from experiments.defences.method_bounds import bounds_of_a_method
from experiments.defences.remembered import RememberedService
from experiments.defences.rows import harm_record, outcome
from experiments.defences.scene import Scene
from experiments.defences.slowly import ask_slowly
from experiments.victims.cache import ingredients_of
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.defences.defended import DefendedService, defended
from overunlearn_jax.evaluation import evaluate, evaluate_all
from overunlearn_jax.models import predict_fn
from overunlearn_jax.services import recipes
from overunlearn_jax.services.fingerprint import weights_digest
from overunlearn_jax.services.recipes import MethodChoice
from overunlearn_jax.services.service import HasWeights, Service
from overunlearn_jax.setting_text import read_settings
from overunlearn_jax.types import Key, Metrics, Split, Variables

TARGETED = "first_order"  # the method of every gate, of the thresholds' curve and of the slow attackers


class Question(NamedTuple):
    """What one request costs class A behind one defence."""

    defence: str
    refuse: float | None  # see `Case`
    request: str
    ask: Callable[[], dict[str, Any]]  # the rest of the record

    @property
    def key(self) -> tuple[str, float | None, str]:
        """What tells it from the others of a method."""
        return self.defence, self.refuse, self.request

    def answered(self) -> dict[str, Any]:
        """The record."""
        return {"defence": self.defence, "refuse": self.refuse} | self.ask()


def key_of(record: Mapping[str, Any]) -> tuple[str, float | None, str]:
    """Which question a record answers."""
    return record["defence"], record["refuse"], record["request"]


def method_questions(
    config: Config, cell: Cell, scene: Scene, honest_cost: float
) -> tuple[dict[str, Any], list[Question]]:
    """What all records of one method share, and a question for each defence and attacker.

    What one answer forgets or evaluates the next one does not again. Raises CostError where no rate of a first-order
    step costs an honest request what is asked for.
    """
    ready = scene.ready
    splits, a = ready.splits, ready.classes.a
    choice, rate = _choice(config, cell, scene, honest_cost)
    behind = ready.victim.service
    assert isinstance(behind, HasWeights)  # trained here
    ingredients = ingredients_of(config.victim, splits)
    service = RememberedService(recipes.serve(choice, ingredients, behind.variables))
    before = evaluate(service.predict, splits.test, splits.spec.num_classes)
    known = {weights_digest(behind.variables): before}
    key, attacks = calibration_key(scene), every_attack(scene)
    met = [*cases(scene, service, key, attacks, full=cell.method == TARGETED)]
    bounds = bounds_of_a_method(choice, ingredients, service, scene.requests[HONEST], step_bound(scene, key))
    for name, inside in bounds:
        met.append(Case(name, None, cache(partial(_defended, inside)), attacks))
    questions = [
        Question(
            case.defence,
            case.refuse,
            attack.name,
            partial(_harm, attack, case.make, ready.keys.unlearn, splits.test, a, known),
        )
        for case in met
        for attack in case.asking
    ]
    if cell.method == TARGETED:
        questions += [*_asked_slowly(config, choice, scene), *_asked_in_company(scene, service)]
    shared = {
        "method": cell.method,
        "method_settings": cell.settings,
        "rate": rate,
        "class_a_before": float(before.per_class[a]),
        "overall_before": before.overall,
    }
    return shared, questions


def _defended(inside: Callable[[], Service]) -> DefendedService:
    return defended(RememberedService(inside()))


def _harm(
    attack: Attack,
    make: Callable[[], DefendedService],
    key: Key,
    test: Split,
    class_a: int,
    known_models: dict[str, Metrics],
) -> dict[str, Any]:
    return harm_record(attack, make(), key, test, class_a, known_models)


def _asked_slowly(config: Config, choice: MethodChoice, scene: Scene) -> Iterator[Question]:
    """Many small requests, each of which meets the defence alone."""
    key, ingredients = calibration_key(scene), ingredients_of(config.victim, scene.ready.splits)

    def serve_at(variables: Variables) -> Service:
        return recipes.serve(choice, ingredients, variables)

    defences: dict[str, dict[str, Any]] = {
        "none": {},
        "bound": {"bound": step_bound(scene, key)},
        "monitor": {"monitor": monitor_of(scene, key)},
    }
    for name, defence in defences.items():
        for attack in static_attacks(scene.requests)[:2]:
            slow = in_parts(attack)
            yield Question(name, None, slow.name, partial(_slow_record, scene, serve_at, slow, defence))


def _slow_record(
    scene: Scene, serve_at: Callable[[Variables], Service], slow: Attack, defence: Mapping[str, Any]
) -> dict[str, Any]:
    ready, spec = scene.ready, scene.ready.splits.spec
    service = ready.victim.service
    assert isinstance(service, HasWeights)  # trained here
    left = ask_slowly(serve_at, service.model, service.variables, slow.requests, ready.keys.unlearn, **defence)
    models = {"left": predict_fn(service.model, left.variables)}
    metrics = evaluate_all(models, ready.splits.test, spec.num_classes)["left"]
    samples = sum(len(each.labels) for each in slow.requests)
    through = sum(len(slow.requests[number].labels) for number in np.flatnonzero(left.released))
    return outcome(slow, samples, through, metrics, ready.classes.a)


def _asked_in_company(scene: Scene, service: RememberedService) -> Iterator[Question]:
    """An honest person's request in one deletion with another one."""
    ready = scene.ready
    defences = asked_together(scene, service, calibration_key(scene))
    for other in (HONEST, *PUSHES):
        pair = in_company(scene.bystander, scene.requests[other], other)
        for name, safe in defences.items():
            ask = partial(alarm_record, pair, safe, ready.keys.unlearn, ready.splits.test, ready.classes.a)
            yield Question(name, None, pair.name, ask)


def _choice(config: Config, cell: Cell, scene: Scene, honest_cost: float) -> tuple[MethodChoice, float | None]:
    """The method as it is served: a first-order step at the rate at which an honest request costs what is asked for."""
    if not cell.reading:
        return MethodChoice(cell.method, read_settings(cell.settings), (), (), ""), None
    ready, splits = scene.ready, scene.ready.splits
    service, ingredients = ready.victim.service, ingredients_of(config.victim, splits)
    assert isinstance(service, HasWeights)  # trained here
    honest, key = {HONEST: scene.requests[HONEST]}, ready.keys.unlearn
    _, rate = first_order_steps(cell, ingredients, service.variables, honest, key, ready.classes.a, honest_cost)
    return first_order_choice(cell, rate), rate
