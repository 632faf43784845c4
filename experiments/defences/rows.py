"""What is kept of each question: who gets through a gate, and what a request costs behind a defence."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from experiments.defences.attackers import Attack
from experiments.defences.gates import GateAt
from experiments.defences.people import AS_TRAINED, WRONG, People
from overunlearn_jax.defences.defended import DefendedService
from overunlearn_jax.defences.gate import Gate, View
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.services.fingerprint import weights_digest
from overunlearn_jax.types import Key, Metrics, Request, Split


def gate_records(
    gate: GateAt, view: View, people: People, attacks: Sequence[Attack], seconds: float
) -> Iterator[dict[str, Any]]:
    """A record for each way in which honest people's samples arrive, and for each attacker.

    The area under the ROC curve tells an attacker's samples from the same honest ones, stored in every way; those that
    were picked because the model predicts them wrongly are not among them. `seconds` are those of `seconds_a_sample`.
    """
    ways = {name: each for name, each in people.judged.items() if name != WRONG}
    honest = np.concatenate([gate.gate(each, view).scores for each in ways.values()])
    groups: list[tuple[str, str, Request]] = [("honest", name, each) for name, each in people.judged.items()]
    groups += [("adaptive" if each.adaptive else "static", each.name, each.requests[0]) for each in attacks]
    for who, name, request in groups:
        found = gate.gate(request, view)
        scores = np.nan_to_num(np.concatenate([honest, found.scores]).astype(np.float64), nan=np.finfo(np.float64).max)
        is_attack = np.repeat([0, 1], [len(honest), len(found.scores)])
        yield {
            "gate": gate.name,
            "refuse": gate.refuse,
            "threshold": float(found.threshold) if np.isfinite(found.threshold) else None,
            "who": who,
            "name": name,
            "samples": len(found.scores),
            "accepted": int(found.accepted.sum()),
            "seconds_a_sample": seconds,
            "auc": None if who == "honest" else float(roc_auc_score(is_attack, scores)),
        }


def seconds_a_sample(gate: Gate, view: View, people: People) -> float:
    """Wall time of a gate for a sample of a request of the usual size, once what it compiles is compiled."""
    request = people.judged[AS_TRAINED]
    gate(request, view)
    began = time.perf_counter()
    gate(request, view)
    return (time.perf_counter() - began) / len(request.labels)


def harm_record(
    attack: Attack, service: DefendedService, key: Key, test: Split, class_a: int, known_models: dict[str, Metrics]
) -> dict[str, Any]:
    """What is left after one request; `known_models` holds what was measured of weights before, and gets what is."""
    with service.after(attack.requests, key) as left:
        refused = 0 if left.deletion.refused is None else left.deletion.refused.samples
        metrics = None
        if left.predict is not None:
            name = weights_digest(left.variables)
            if name not in known_models:
                known_models[name] = evaluate(left.predict, test, service.spec.num_classes)
            metrics = known_models[name]
    samples = sum(len(request.labels) for request in attack.requests)
    return {**outcome(attack, samples, samples - refused, metrics, class_a), "step_kept": left.deletion.step_kept}


def outcome(attack: Attack, samples: int, through: int, metrics: Metrics | None, class_a: int) -> dict[str, Any]:
    """Accuracies are fractions of test images; null where no model is left."""
    return {
        "request": attack.name,
        "adaptive": attack.adaptive,
        "samples": samples,
        "through": through,
        "class_a": None if metrics is None else float(metrics.per_class[class_a]),
        "overall": None if metrics is None else metrics.overall,
    }
