"""What all methods of one victim share: its requests, the gates at their thresholds, and who gets through each."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.config import Config
from experiments.controls.requests import every_request
from experiments.defences.attackers import Attack, retreating, static_attacks
from experiments.defences.gates import GATES, GateAt, accepts, at_thresholds, scored
from experiments.defences.people import AS_TRAINED, People, honest_people
from experiments.defences.rows import gate_records, seconds_a_sample
from experiments.pipeline import SeedRun
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.defences.gate import View
from overunlearn_jax.defences.holdings import Holdings
from overunlearn_jax.services.service import HasWeights
from overunlearn_jax.types import Request


class Scene(NamedTuple):
    """What all methods of one victim share."""

    ready: SeedRun
    requests: Mapping[str, Request]
    gates: list[GateAt]
    retreats: dict[tuple[str, float | None], list[Attack]]
    view: View
    bystander: Request  # honest: none of its samples is the attacker's, right or wrong


def set_up(
    config: Config, seed: int, ready: SeedRun, names: Collection[str] = tuple(GATES)
) -> tuple[Scene, list[dict[str, Any]]]:
    """The requests, the gates of these names at their thresholds, and a record of who gets through each."""
    splits, service = ready.splits, ready.victim.service
    assert isinstance(service, HasWeights)  # trained here
    answers = predict_in_batches(service.predict, splits.train.images)
    requests = every_request(config, seed, ready)
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
    for name in (each for each in GATES if each in names):
        bare = scored(name, holdings)
        seconds = seconds_a_sample(bare, view, people)
        for gate in at_thresholds(name, bare, _as_request(people), view):
            gates.append(gate)
            back = retreating(accepts(gate.gate, np.asarray(requests[HONEST].labels), view), requests)
            retreats[gate.name, gate.refuse] = back
            records += gate_records(gate, view, people, [*static_attacks(requests), *back], seconds)
        print(f"seed {seed}: gate {name}", flush=True)
    return Scene(ready, requests, gates, retreats, view, people.judged[AS_TRAINED]), records


def _as_request(people: People) -> Request:
    return Request(people.calibration.images, people.calibration.labels)
