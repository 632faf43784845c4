"""Did the service forget? What membership inference, distance to a retrained model and relearning say of each cell.

The forget set holds what the victim predicts rightly, as attackers choose it. The test samples that it is told from are
chosen by the same rule: all of the class, the victim is right on only some, and the choice alone would tell them apart.
Only samples whose push failed are missing besides; rows count them as `failed`. Being right says less of how easy a
sample is where the victim was trained on it. So what forgetting aims at is the retrained model's AUC on the same
samples, and not 0.5.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.config import MeasuresConfig, VictimConfig
from experiments.measures.lira import lira_membership, named_membership
from experiments.measures.memo import Memo
from experiments.run.progress import TrainingBar
from experiments.victims.cache import Victim, train_settings
from experiments.victims.shadows import train_or_find_shadows
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.forgetting import (
    js_distance,
    mean_loss,
    membership,
    relearn_steps,
    true_label_confidence,
)
from overunlearn_jax.models import Model, predict_fn
from overunlearn_jax.reporting.forgetting import NO_TRAINING, NO_WEIGHTS
from overunlearn_jax.services.service import After, HasWeights
from overunlearn_jax.types import DivergedError, Key, PredictFn, Split, Splits, UnlearningRequest, Variables
from overunlearn_jax.unlearn import retrain, without

RETAINED = 2000  # retained samples whose accuracy stands for all
# At this rate retrained models of CIFAR-10 need 13 and 37 steps (two seeds), at 1e-3 only 4 and 12: too coarse.
RELEARN_RATE, RELEARN_BATCH, RELEARN_MOST, RELEARN_MARGIN = 3e-4, 64, 100, 0.1
_ORACLE, _RETAINED, _RELEARN = 1_000_001, 1_000_002, 1_000_003  # folded into the seed's unlearning key


class _Samples(NamedTuple):
    """What a model is asked about."""

    forget: Split  # the originals of the request
    retained: Split
    others: Split  # test samples of class A that the victim predicts rightly: never seen, chosen as the forget set is


class _Known(NamedTuple):
    """One model, as far as it is known."""

    predict: PredictFn
    model: Model | None = None  # None: the service offers no weights
    variables: Variables | None = None


class _Reference(NamedTuple):
    """What every model is compared with, for one forget set."""

    samples: _Samples
    ideal: np.ndarray | None  # shape=(n, k): what the retrained model answers about them; None: nobody can retrain
    target_loss: float | None  # nats: relearning is done where the victim's loss, and a margin, is reached again


def check_forgetting(measures: MeasuresConfig, splits: Splits, class_a: int) -> None:
    """Raises ValueError where there are no test images to tell the requested samples from."""
    if measures.forgetting and not (splits.test.labels == class_a).any():
        raise ValueError(
            f"--forgetting asks how well the requested samples are told from test images of their class, and there "
            f"are none of class {splits.spec.class_names[class_a]}: leave it out, or give test images of that class"
        )


class ForgettingMeter:
    """Measures of one seed's service after each request, beside the service before and a retrained model.

    What needs weights is measured where the service offers them, and what needs another training where its
    architecture and data are known; the row says what is missing and why.
    """

    def __init__(
        self,
        measures: MeasuresConfig,
        training: VictimConfig,
        cache_dir: str,
        victim: Victim,
        splits: Splits,
        class_a: int,
        key: Key,
        memo: Memo,
    ):
        self._training, self._cache_dir, self._victim, self._splits = training, cache_dir, victim, splits
        self._class_a, self._key, self._memo = class_a, key, memo
        # What decides all that is found below.
        self._name = (victim.name, class_a, jax.random.key_data(key).tobytes(), measures.shadows)
        of_class = splits.test.labels == class_a
        tested = Split(*(part[of_class] for part in splits.test))
        self._right = np.flatnonzero(predict_in_batches(victim.service.predict, tested.images).argmax(-1) == class_a)
        self._others = Split(*(part[self._right] for part in tested))
        self._shadows = (
            memo.get(
                ("shadows", self._name),
                lambda: train_or_find_shadows(training, measures.shadows, cache_dir, splits, class_a),
            )
            if measures.shadows
            else None
        )

    def prepare(self, request: UnlearningRequest) -> None:
        """Asks the service as deployed, and trains what it is compared with, where no request did so before."""
        self._known(request)

    def _known(self, request: UnlearningRequest) -> tuple["_Reference", dict[str, Any]]:
        forget_set = (self._name, request.original_ids.tobytes())  # requests of one size share it
        return self._memo.get(forget_set, lambda: self._reference(request))

    def __call__(self, request: UnlearningRequest, left: After | None) -> dict[str, Any]:
        """The row's part on forgetting: the unlearned model's numbers, then those `_before` and `_retrained`.

        The first are null for None: the deletion diverged, and no model is left.
        """
        reference, numbers = self._known(request)
        if left is None or left.predict is None:
            return {key.removesuffix("_before"): None for key in numbers if key.endswith("_before")} | numbers
        return self._of(_Known(left.predict, self._model, left.variables), reference) | numbers

    @property
    def _model(self) -> Model | None:
        service = self._victim.service
        return service.model if isinstance(service, HasWeights) else None

    def _reference(self, request: UnlearningRequest) -> tuple[_Reference, dict[str, Any]]:
        """What to compare with, and what that makes of the service itself and of the retrained model."""
        samples, service = self._samples(request), self._victim.service
        forget = samples.forget
        weights = service.variables if isinstance(service, HasWeights) else None
        models = {"before": _Known(service.predict, self._model, weights)}
        ideal, loss = None, None
        if self._model is not None and weights is not None:
            loss = mean_loss(self._model, weights, forget.images, forget.labels) + RELEARN_MARGIN
        architecture = self._victim.architecture
        missing = [] if weights is not None else [NO_WEIGHTS]
        accuracies: dict[str, float] = {}
        if architecture is None:
            missing.append(NO_TRAINING)
        else:
            oracle = self._oracle(architecture, forget)
            models["retrained"] = _Known(predict_fn(architecture, oracle), architecture, oracle)
            ideal = predict_in_batches(models["retrained"].predict, forget.images)
            accuracies = self._accuracies(models["retrained"].predict)
        reference = _Reference(samples, ideal, loss)
        numbers: dict[str, Any] = {
            f"{key}_{which}": value
            for which, known in models.items()
            for key, value in self._of(known, reference).items()
        }
        if missing:
            numbers["forgetting_not_measured"] = "; ".join(missing)
        return reference, numbers | accuracies

    def _samples(self, request: UnlearningRequest) -> _Samples:
        forget = Split(request.original_images, request.original_labels, request.original_ids)
        kept = np.flatnonzero(~np.isin(self._splits.train.ids, request.original_ids))
        drawn = np.asarray(jax.random.permutation(jax.random.fold_in(self._key, _RETAINED), kept))[:RETAINED]
        return _Samples(forget, Split(*(part[drawn] for part in self._splits.train)), self._others)

    def _oracle(self, architecture: Model, forget: Split) -> Variables:
        """A model trained from scratch without the originals; kept on disk, so that other runs find it."""
        rows = np.flatnonzero(np.isin(self._splits.train.ids, forget.ids))
        with TrainingBar("retrained model to compare with") as bar:
            method = retrain(
                spec=self._splits.spec,
                validation=self._splits.validation,
                settings=train_settings(self._training),
                directory=self._victim.retrained_folder(self._cache_dir),
                on_step=bar.update,
            )
            service = self._victim.service
            assert isinstance(service, HasWeights)  # what we trained has weights
            return method(
                architecture,
                service.variables,
                forget.images,
                forget.labels,
                jax.random.fold_in(self._key, _ORACLE),
                without(self._splits.train, rows),
            )

    def _of(self, known: _Known, reference: _Reference) -> dict[str, Any]:
        samples = reference.samples
        forget, retained = (
            predict_in_batches(known.predict, each.images) for each in (samples.forget, samples.retained)
        )
        found: dict[str, Any] = {
            "forget_accuracy": float((forget.argmax(-1) == samples.forget.labels).mean()),
            "retain_accuracy": float((retained.argmax(-1) == samples.retained.labels).mean()),
        }
        if reference.ideal is not None:
            found["js_to_retrained"] = float(js_distance(forget, reference.ideal).mean())
        if known.model is not None and known.variables is not None and reference.target_loss is not None:
            found["relearn_steps"] = self._relearn(known.model, known.variables, samples, reference.target_loss)
        return found | self._membership(known.predict, samples, forget)

    def _membership(self, predict: PredictFn, samples: _Samples, forget: np.ndarray) -> dict[str, float | None]:
        """How well the forget set is told from what was never seen; null where the victim is right on nothing there."""
        attacks = ["confidence"] if self._shadows is None else ["confidence", "lira"]
        if not len(samples.others.labels):
            return {f"{attack}_{name}": None for attack in attacks for name in ("auc", "tpr_at_1_fpr")}
        known = true_label_confidence(forget, samples.forget.labels)
        unknown = true_label_confidence(predict_in_batches(predict, samples.others.images), samples.others.labels)
        found = named_membership("confidence", membership(known, unknown))
        if self._shadows is not None:
            found |= named_membership(
                "lira", lira_membership(self._shadows, samples.forget.ids, self._right, known, unknown)
            )
        return found

    def _accuracies(self, retrained: PredictFn) -> dict[str, float]:
        found = evaluate(retrained, self._splits.test, self._splits.spec.num_classes)
        return {"overall_retrained": found.overall, "class_a_retrained": float(found.per_class[self._class_a])}

    def _relearn(self, model: Model, variables: Variables, samples: _Samples, target_loss: float) -> int:
        """Steps to learn the forget set again; RELEARN_MOST: so many, more, or a model beyond repair."""
        try:
            steps = relearn_steps(
                model,
                variables,
                samples.forget.images,
                samples.forget.labels,
                jax.random.fold_in(self._key, _RELEARN),
                target_loss=target_loss,
                learning_rate=RELEARN_RATE,
                batch_size=RELEARN_BATCH,
                most=RELEARN_MOST,
            )
        except DivergedError:
            return RELEARN_MOST
        return RELEARN_MOST if steps is None else steps
