"""The defences that every attacker meets, each with those who ask there."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

import jax
import numpy as np

from experiments.defences.attackers import (
    CHOSEN,
    ONE_SAMPLE,
    STATIC,
    Attack,
    against_a_monitor,
    repeated,
    static_attacks,
)
from experiments.defences.remembered import RememberedService
from experiments.defences.scene import Scene
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.defences.defended import DefendedService, defended
from overunlearn_jax.defences.hash_store import HashStore
from overunlearn_jax.defences.honest_steps import StepBound
from overunlearn_jax.defences.identification import identifier, lookup_by_hash
from overunlearn_jax.defences.monitor import Monitor
from overunlearn_jax.types import Key

HONEST_RUNS = 9  # honest requests that a bound and a monitor know: the fewest that tell the 0.9 quantile
QUANTILE = 0.9
MOST_LOST = 0.1  # of any class, whatever honest requests of the same size cost: 10 points
BITS = 256  # of a perceptual hash
BITS_APART = 40  # of them: the nearest other image is farther away
OTHERS = ("exact", "phash", "confidence")  # gates of the other methods: who gets through a gate depends on no method
AT_GATES = (HONEST, *STATIC, CHOSEN, *ONE_SAMPLE)  # beside those who go back until a gate says yes


class Case(NamedTuple):
    """One defence in front of the service, and who asks."""

    defence: str
    refuse: float | None  # the part of honest samples that a gate may refuse, where it has a threshold
    make: Callable[[], DefendedService]  # the same one each time: what it measures of honest people it measures once
    asking: list[Attack]


def every_attack(scene: Scene) -> list[Attack]:
    """Those that meet every defence but the gates."""
    requests, predict = scene.requests, scene.view.predict
    again = repeated(requests, lambda images: np.asarray(predict_in_batches(predict, images)))
    return [*static_attacks(requests), *against_a_monitor(requests), *again]


def cases(scene: Scene, service: RememberedService, key: Key, attacks: list[Attack], *, full: bool) -> Iterator[Case]:
    """Each defence that any method can have; `full`: every gate at all thresholds."""
    of_gates = [each for each in attacks if each.name in AT_GATES]
    yield Case("none", None, cache(partial(defended, service)), attacks)
    for gate in scene.gates:
        if full or (gate.shown and gate.name in OTHERS):
            retreats = scene.retreats[gate.name, gate.refuse]
            yield Case(gate.name, gate.refuse, cache(partial(defended, service, [gate.gate])), [*of_gates, *retreats])
    train = scene.ready.splits.train
    bound, monitor = step_bound(scene, key), monitor_of(scene, key)
    identify = identifier(train, lookup_by_hash(HashStore(train.images, scene.view.spec.bounds, bits=BITS)), BITS_APART)
    for name, make in {
        "identify": partial(defended, service, identify=identify),
        "bound": partial(defended, service, bound=bound),
        "monitor": partial(defended, service, monitor=monitor),
        "identify, monitor": partial(defended, service, (), identify, monitor),
        "identify, capped monitor": partial(defended, service, (), identify, monitor._replace(most_lost=MOST_LOST)),
        "identify, bound, monitor": partial(defended, service, (), identify, monitor, bound=bound),
    }.items():
        yield Case(name, None, cache(make), attacks)


def asked_together(scene: Scene, service: RememberedService, key: Key) -> dict[str, DefendedService]:
    """What an honest person's request may meet in company; "by request" tries each alone before it refuses it."""
    apart = monitor_of(scene, key)._replace(in_parts=True, smallest=len(scene.ready.splits.train.labels))
    return {
        "bound": defended(service, bound=step_bound(scene, key)),
        "monitor": defended(service, monitor=monitor_of(scene, key)),
        "monitor, by request": defended(service, monitor=apart),
    }


def calibration_key(scene: Scene) -> Key:
    """Of the honest requests that a bound and a monitor know: none of them is forgotten twice."""
    return jax.random.fold_in(scene.ready.keys.unlearn, 2)


def step_bound(scene: Scene, key: Key) -> StepBound:
    """Of honest requests of the training samples."""
    return StepBound(scene.ready.splits.train, key, HONEST_RUNS, QUANTILE)


def monitor_of(scene: Scene, key: Key) -> Monitor:
    """It watches validation images: test images judge it."""
    return Monitor(scene.ready.splits.train, scene.ready.splits.validation, key, HONEST_RUNS)
