"""Where records of contributors are written, and what they are called by: trained on, method, deleted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.defences.cells import CELLS
from experiments.defences.contributors.contributions import Camouflage
from experiments.run.records import append_records, read_records
from overunlearn_jax.defences.exact_digest import exact_digest_gate, exact_digests
from overunlearn_jax.defences.gate import View
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.types import PredictFn, Request, Splits

CLEAN, CONTRIBUTED = "clean", "contributed"  # what services were trained on
NOTHING, ORDINARY, CRAFTED = "nothing", "ordinary", "crafted"  # what is deleted
STEP, EXACT, NO_METHOD = CELLS[0], "retrain", "none"
Case = tuple[str, str, str]  # trained on, method, deleted


class CaseRecords:
    """Where the records of one seed and attacker are written, each as soon as it is known, and once."""

    def __init__(self, path: Path, shared: Mapping[str, Any], class_a: int, class_b: int):
        self.seed = shared["seed"]
        self._path, self._shared, self._classes = path, dict(shared), (class_a, class_b)
        self._done = {_case(row) for row in read_records(path) if all(row[key] == shared[key] for key in _WHICH)}

    def has(self, case: Case) -> bool:
        """Whether it is measured already."""
        return case in self._done

    def write(self, case: Case, predict: PredictFn, splits: Splits, request: Request | None, **more: object) -> None:
        """A record of a model after a deletion; `request` is what was deleted."""
        metrics = evaluate(predict, splits.test, splits.spec.num_classes)
        accepted = 0
        if request is not None:
            gate = exact_digest_gate(exact_digests(splits.train.images, splits.spec.bounds))
            accepted = int(gate(request, View(splits.spec, predict)).accepted.sum())
        trained_on, method, deleted = case
        row = {
            **self._shared,
            "trained_on": trained_on,
            "method": method,
            "deleted": deleted,
            "samples": 0 if request is None else len(request.labels),
            "accepted_by_digests": accepted,
            "class_a": float(metrics.per_class[self._classes[0]]),
            "class_b": float(metrics.per_class[self._classes[1]]),
            "overall": metrics.overall,
            **more,
        }
        append_records(self._path, [row])
        self._done.add(case)
        print(f"seed {row['seed']}, {row['attack']}: {trained_on}, {method}, {deleted}", flush=True)


_WHICH = ("seed", "attack", *Camouflage._fields)


def _case(row: Mapping[str, Any]) -> Case:
    return row["trained_on"], row["method"], row["deleted"]
