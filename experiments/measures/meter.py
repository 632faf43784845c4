"""What is measured of a victim before and after each request, as rows."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from experiments.config import Config
from experiments.measures.forgetting import ForgettingMeter
from experiments.measures.memo import Memo
from experiments.measures.rows import Cell, accuracies, describe_request, describe_settings, perceptual
from experiments.measures.unlearning import Unlearned
from experiments.requests.crafting import AttackerSamples, Classes
from experiments.victims.cache import Victim
from overunlearn_jax.evaluation import evaluate, evaluate_all, rightly_predicted
from overunlearn_jax.models import predict_fn
from overunlearn_jax.types import Key, Metrics, PredictFn, Split, Splits, UnlearningRequest, Variables


class Meter:
    """Measures one seed's victim: at first as it is, then as each request leaves it."""

    def __init__(self, config: Config, victim: Victim, splits: Splits, classes: Classes, key: Key, memo: Memo):
        self._config, self._victim, self._splits, self._classes = config, victim, splits, classes
        self._forgetting = ForgettingMeter(config, victim, splits, classes.a, key, memo) if config.forgetting else None
        self._distances = perceptual(config, splits.spec)
        named = (victim.name, classes.a)
        self._before, self._training, self._right = memo.get(named, lambda: _at_first(victim, splits, classes.a))

    def rows(
        self,
        cells: Sequence[Cell],
        crafted: AttackerSamples,
        count: int,
        request: UnlearningRequest,
        unlearned: Unlearned,
    ) -> Iterator[dict[str, Any]]:
        """A row for each cell of one request; null where unlearning diverged and nothing was left to measure."""
        spec = self._splits.spec
        described = describe_request(crafted, count, request, self._victim.predict, spec, self._distances)
        left = {cell.name: unlearned.variables[cell.variant] for cell in cells}
        models = {
            name: predict_fn(self._victim.model, variables) for name, variables in left.items() if variables is not None
        }
        after = self._evaluate(models, self._splits.test)
        right = self._evaluate(models, self._right)
        for cell in cells:
            measured = after.get(cell.name)
            diverged = {"diverged": True, "diverged_because": unlearned.why or "its answers are not finite"}
            yield (
                describe_settings(self._config, spec, self._classes, self._victim.name, cell)
                | described
                | accuracies(self._before, self._training, measured, right.get(cell.name), self._classes)
                | unlearned.found
                | self._forgotten(request, None if measured is None else left[cell.name])
                | {"weights_changed": None if measured is None else self._changed(left[cell.name])}
                | {"gradient_evaluations": unlearned.gradient_evaluations[cell.variant]}
                | {"seconds_unlearn": unlearned.seconds[cell.variant]}
                | (diverged if measured is None else {})
            )

    def _evaluate(self, models: dict[str, PredictFn], split: Split) -> dict[str, Metrics | None]:
        return evaluate_all(models, split, self._splits.spec.num_classes) if models and len(split.labels) else {}

    def _changed(self, variables: Variables | None) -> bool:
        pairs = zip(*map(jax.tree.leaves, (self._victim.variables, variables)), strict=True)
        return any(not np.array_equal(before, after) for before, after in pairs)

    def _forgotten(self, request: UnlearningRequest, variables: Variables | None) -> dict[str, Any]:
        return self._forgetting.measure(request, variables) if self._forgetting else {}


def _at_first(victim: Victim, splits: Splits, class_a: int) -> tuple[Metrics, Metrics, Split]:
    """The victim's metrics on test and training data, and the test samples of class A that it predicts rightly."""
    test, training = (evaluate(victim.predict, split, splits.spec.num_classes) for split in (splits.test, splits.train))
    return test, training, rightly_predicted(victim.predict, splits.test, class_a)
