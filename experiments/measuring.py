"""What is measured of a victim before and after each request, as rows."""

from collections.abc import Iterator, Sequence
from typing import Any

from experiments.config import Config
from experiments.crafting import Classes, Crafted
from experiments.forgetting import ForgettingMeter
from experiments.rows import Cell, accuracies, describe_request, describe_settings, perceptual
from experiments.unlearning import Unlearned
from experiments.victims import Victim
from overunlearn_jax.evaluation import evaluate, evaluate_all, rightly_predicted
from overunlearn_jax.models import predict_fn
from overunlearn_jax.types import Key, Splits, UnlearningRequest


class Meter:
    """Measures one seed's victim: at first as it is, then as each request leaves it."""

    def __init__(self, config: Config, victim: Victim, splits: Splits, classes: Classes, key: Key):
        self._config, self._victim, self._splits, self._classes = config, victim, splits, classes
        self._forgetting = ForgettingMeter(config, victim, splits, classes.a, key) if config.forgetting else None
        self._distances = perceptual(config, splits.spec)
        self._before = evaluate(victim.predict, splits.test, splits.spec.num_classes)
        self._training = evaluate(victim.predict, splits.train, splits.spec.num_classes)
        self._right = rightly_predicted(victim.predict, splits.test, classes.a)

    def rows(
        self, cells: Sequence[Cell], crafted: Crafted, count: int, request: UnlearningRequest, unlearned: Unlearned
    ) -> Iterator[dict[str, Any]]:
        """A row for each cell of one request."""
        spec = self._splits.spec
        described = describe_request(crafted, count, request, self._victim.predict, spec, self._distances)
        models = {cell.name: predict_fn(self._victim.model, unlearned.variables[cell.variant]) for cell in cells}
        after = evaluate_all(models, self._splits.test, spec.num_classes)
        right = evaluate_all(models, self._right, spec.num_classes) if len(self._right.labels) else {}
        for cell in cells:
            yield (
                describe_settings(self._config, spec, self._classes, self._victim.name, cell)
                | described
                | accuracies(self._before, self._training, after[cell.name], right.get(cell.name), self._classes)
                | unlearned.found
                | (self._forgetting.measure(request, unlearned.variables[cell.variant]) if self._forgetting else {})
                | {"gradient_evaluations": unlearned.gradient_evaluations[cell.variant]}
            )
