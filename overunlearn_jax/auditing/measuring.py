"""What is measured of a service before and after each request, as rows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

import jax
import numpy as np

from overunlearn_jax.auditing.choosing import AttackerSamples
from overunlearn_jax.auditing.request_settings import Classes, RequestSettings
from overunlearn_jax.auditing.rows import (
    Cell,
    Perceptual,
    ServiceLabels,
    accuracies,
    describe_request,
    describe_settings,
)
from overunlearn_jax.evaluation import evaluate, evaluate_all, rightly_predicted
from overunlearn_jax.reporting import Row
from overunlearn_jax.services.service import After, HasWeights, Service, Variant
from overunlearn_jax.typed_keys import without_keys
from overunlearn_jax.types import Metrics, PredictFn, Split, Splits, UnlearningRequest, Variables


class Baseline(NamedTuple):
    """A service before any request."""

    test: Metrics
    training: Metrics | None  # None: not asked about, since a service that is no local model answers for every image
    right: Split  # test samples of class A that it predicts rightly


def baseline(service: Service, splits: Splits, class_a: int) -> Baseline:
    """Asks the service about all test images, and a local model about the training images, too."""
    classes, training = splits.spec.num_classes, None
    test = evaluate(service.predict, splits.test, classes)
    if isinstance(service.predict, jax.tree_util.Partial):
        training = evaluate(service.predict, splits.train, classes)
    return Baseline(test, training, rightly_predicted(service.predict, splits.test, class_a))


class MeasureForgetting(Protocol):
    """What a row says of whether a request was forgotten."""

    def prepare(self, request: UnlearningRequest) -> None:
        """Called before the deletion: the time to ask the service as deployed."""

    def __call__(self, request: UnlearningRequest, left: After | None) -> dict[str, Any]:
        """`left` is the service after the request; None where the deletion diverged."""


class Meter:
    """Measures a service: at first as it is, then as each request leaves it.

    `distances` is LPIPS and `forgetting` the row's part on forgetting, where they are asked for.
    """

    def __init__(
        self,
        labels: ServiceLabels,
        settings: RequestSettings,
        service: Service,
        splits: Splits,
        classes: Classes,
        before: Baseline,
        *,
        distances: Perceptual | None = None,
        forgetting: MeasureForgetting | None = None,
    ):
        self._labels, self._settings = labels, settings
        self._service, self._splits, self._classes = service, splits, classes
        self._before, self._distances, self._forgetting = before, distances, forgetting

    def describe(self, chosen: AttackerSamples, count: int, request: UnlearningRequest) -> dict[str, Any]:
        """The rows' part on the request itself; asks the deployed service, so it comes before the deletion."""
        if self._forgetting:
            self._forgetting.prepare(request)
        return describe_request(chosen, count, request, self._service.predict, self._splits.spec, self._distances)

    def rows(
        self,
        cells: Sequence[Cell],
        described: Mapping[str, Any],
        request: UnlearningRequest,
        left: Mapping[Variant, After],
    ) -> Iterator[Row]:
        """A row for each cell of one request, which `describe` has described.

        Null where the deletion diverged and nothing was left to measure.
        """
        spec = self._splits.spec
        models = {cell.name: predict for cell in cells if (predict := left[cell.variant].predict) is not None}
        after = self._evaluate(models, self._splits.test)
        right = self._evaluate(models, self._before.right)
        for cell in cells:
            measured, own = after.get(cell.name), left[cell.variant]
            because = own.deletion.diverged or "its answers are not finite"
            whole = own if measured is not None else None
            yield cast(
                Row,
                describe_settings(self._labels, self._settings, spec, self._classes, cell)
                | dict(described)
                | accuracies(self._before.test, self._before.training, measured, right.get(cell.name), self._classes)
                | _matched(request, own)
                | (self._forgetting(request, whole) if self._forgetting else {})
                | {"weights_changed": self._changed(whole)}
                | {"gradient_evaluations": own.deletion.gradient_evaluations}
                | {"seconds_unlearn": own.deletion.seconds}
                | _defended(own)
                | ({"diverged": True, "diverged_because": because} if measured is None else {}),
            )

    def _evaluate(self, models: dict[str, PredictFn], split: Split) -> dict[str, Metrics | None]:
        return evaluate_all(models, split, self._splits.spec.num_classes) if models and len(split.labels) else {}

    def _changed(self, left: After | None) -> bool | None:
        """Whether any weight changed; None where there is no model left, or the service offers no weights."""
        if left is None or left.variables is None or not isinstance(self._service, HasWeights):
            return None
        return differ(self._service.variables, left.variables)


def differ(before: Variables, after: Variables) -> bool:
    """Whether any array of two trees of one form differs."""
    pairs = zip(*(jax.tree.leaves(without_keys(each)) for each in (before, after)), strict=True)
    return any(not np.array_equal(one, other) for one, other in pairs)


def _defended(left: After) -> dict[str, Any]:
    """What defences refused, and how much of the step a bound left; nothing where the service has none."""
    refused, kept = left.deletion.refused, left.deletion.step_kept
    told: dict[str, Any] = {}
    if refused is not None:
        told |= {"refused": refused.samples, "refused_by": dict(refused.by), "refused_because": refused.why}
    return told if kept is None else told | {"step_kept": kept}


def _matched(request: UnlearningRequest, left: After) -> dict[str, Any]:
    """How many submitted images the service took for their own originals; nothing where it does not say."""
    ids = left.deletion.matched_ids
    return {} if ids is None else {"matched_to_original": float((ids == request.original_ids).mean())}
