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

from experiments.config import Config
from experiments.measures.memo import Memo
from experiments.measures.unlearning import retrained_folder
from experiments.run.progress import TrainingBar
from experiments.victims.cache import Victim, train_settings
from experiments.victims.shadows import Shadows, train_or_find_shadows
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.forgetting import (
    Membership,
    js_distance,
    lira_scores,
    mean_loss,
    membership,
    relearn_steps,
    true_label_confidence,
)
from overunlearn_jax.models import Model, predict_fn
from overunlearn_jax.types import Key, Split, Splits, UnlearningRequest, Variables
from overunlearn_jax.unlearn import DivergedError, retrain, without

RETAINED = 2000  # retained samples whose accuracy stands for all
# At this rate retrained models of CIFAR-10 need 13 and 37 steps (two seeds), at 1e-3 only 4 and 12: too coarse.
RELEARN_RATE, RELEARN_BATCH, RELEARN_MOST, RELEARN_MARGIN = 3e-4, 64, 100, 0.1
_ORACLE, _RETAINED, _RELEARN = 1_000_001, 1_000_002, 1_000_003  # folded into the seed's unlearning key


class _Samples(NamedTuple):
    """What a model is asked about."""

    forget: Split  # the originals of the request
    retained: Split
    others: Split  # test samples of class A that the victim predicts rightly: never seen, chosen as the forget set is


class _Reference(NamedTuple):
    """What every model is compared with, for one forget set."""

    samples: _Samples
    ideal: np.ndarray  # shape=(n, k): what the retrained model answers about them
    target_loss: float  # nats: relearning is done where the victim's loss on them, and a margin, is reached again


def check_forgetting(config: Config, splits: Splits, class_a: int) -> None:
    """Raises ValueError where there are no test images to tell the requested samples from."""
    if config.forgetting and not (splits.test.labels == class_a).any():
        raise ValueError(
            f"--forgetting asks how well the requested samples are told from test images of their class, and there "
            f"are none of class {splits.spec.class_names[class_a]}: leave it out, or give test images of that class"
        )


class ForgettingMeter:
    """Measures of one seed's victim after each request, always beside the victim before and a retrained model."""

    def __init__(self, config: Config, victim: Victim, splits: Splits, class_a: int, key: Key, memo: Memo):
        self._config, self._victim, self._splits = config, victim, splits
        self._class_a, self._key, self._memo = class_a, key, memo
        self._name = (victim.name, class_a, jax.random.key_data(key).tobytes(), config.shadows)  # what decides below
        of_class = splits.test.labels == class_a
        tested = Split(*(part[of_class] for part in splits.test))
        self._right = np.flatnonzero(predict_in_batches(victim.predict, tested.images).argmax(-1) == class_a)
        self._others = Split(*(part[self._right] for part in tested))
        self._shadows = (
            memo.get(("shadows", self._name), lambda: train_or_find_shadows(config, splits, class_a))
            if config.shadows
            else None
        )

    def measure(self, request: UnlearningRequest, unlearned: Variables | None) -> dict[str, Any]:
        """The row's part on forgetting: the unlearned model's numbers, then those `_before` and `_retrained`.

        The first are null for None: unlearning diverged, and no model is left.
        """
        forget_set = (self._name, request.original_ids.tobytes())  # requests of one size share it
        reference, numbers = self._memo.get(forget_set, lambda: self._reference(request))
        if unlearned is None:
            return {key.removesuffix("_before"): None for key in numbers if key.endswith("_before")} | numbers
        return self._of(self._victim.model, unlearned, reference) | numbers

    def _reference(self, request: UnlearningRequest) -> tuple[_Reference, dict[str, Any]]:
        """What to compare with, and what that makes of the victim itself and of the retrained model."""
        samples, victim = self._samples(request), self._victim
        forget = samples.forget
        oracle = self._oracle(forget)
        ideal = self._answers(victim.architecture, oracle, forget)
        loss = mean_loss(victim.model, victim.variables, forget.images, forget.labels)
        reference = _Reference(samples, ideal, loss + RELEARN_MARGIN)
        others = {"before": (victim.model, victim.variables), "retrained": (victim.architecture, oracle)}
        numbers = {
            f"{key}_{which}": value
            for which, (model, variables) in others.items()
            for key, value in self._of(model, variables, reference).items()
        }
        return reference, numbers | self._accuracies(oracle)

    def _samples(self, request: UnlearningRequest) -> _Samples:
        forget = Split(request.original_images, request.original_labels, request.original_ids)
        kept = np.flatnonzero(~np.isin(self._splits.train.ids, request.original_ids))
        drawn = np.asarray(jax.random.permutation(jax.random.fold_in(self._key, _RETAINED), kept))[:RETAINED]
        return _Samples(forget, Split(*(part[drawn] for part in self._splits.train)), self._others)

    def _oracle(self, forget: Split) -> Variables:
        """A model trained from scratch without the originals; kept on disk, so that other runs find it."""
        rows = np.flatnonzero(np.isin(self._splits.train.ids, forget.ids))
        with TrainingBar("retrained model to compare with") as bar:
            method = retrain(
                spec=self._splits.spec,
                validation=self._splits.validation,
                settings=train_settings(self._config),
                directory=retrained_folder(self._config, self._victim),
                on_step=bar.update,
            )
            return method(
                self._victim.architecture,
                self._victim.variables,
                forget.images,
                forget.labels,
                jax.random.fold_in(self._key, _ORACLE),
                without(self._splits.train, rows),
            )

    def _of(self, model: Model, variables: Variables, reference: _Reference) -> dict[str, Any]:
        samples = reference.samples
        forget, retained = (self._answers(model, variables, each) for each in (samples.forget, samples.retained))
        found: dict[str, Any] = {
            "forget_accuracy": float((forget.argmax(-1) == samples.forget.labels).mean()),
            "retain_accuracy": float((retained.argmax(-1) == samples.retained.labels).mean()),
            "js_to_retrained": float(js_distance(forget, reference.ideal).mean()),
            "relearn_steps": self._relearn(model, variables, reference),
        }
        return found | self._membership(model, variables, samples, forget)

    def _membership(
        self, model: Model, variables: Variables, samples: _Samples, forget: np.ndarray
    ) -> dict[str, float | None]:
        """How well the forget set is told from what was never seen; null where the victim is right on nothing there."""
        attacks = ["confidence"] if self._shadows is None else ["confidence", "lira"]
        if not len(samples.others.labels):
            return {f"{attack}_{name}": None for attack in attacks for name in ("auc", "tpr_at_1_fpr")}
        known = true_label_confidence(forget, samples.forget.labels)
        unknown = true_label_confidence(self._answers(model, variables, samples.others), samples.others.labels)
        found = _named("confidence", membership(known, unknown))
        if self._shadows is not None:
            found |= _named("lira", _lira(self._shadows, samples.forget.ids, self._right, known, unknown))
        return found

    def _answers(self, model: Model, variables: Variables, split: Split) -> np.ndarray:
        return predict_in_batches(predict_fn(model, variables), split.images)

    def _accuracies(self, oracle: Variables) -> dict[str, float]:
        predict = predict_fn(self._victim.architecture, oracle)
        found = evaluate(predict, self._splits.test, self._splits.spec.num_classes)
        return {"overall_retrained": found.overall, "class_a_retrained": float(found.per_class[self._class_a])}

    def _relearn(self, model: Model, variables: Variables, reference: _Reference) -> int:
        """Steps to learn the forget set again; RELEARN_MOST: so many, more, or a model beyond repair."""
        try:
            steps = relearn_steps(
                model,
                variables,
                reference.samples.forget.images,
                reference.samples.forget.labels,
                jax.random.fold_in(self._key, _RELEARN),
                target_loss=reference.target_loss,
                learning_rate=RELEARN_RATE,
                batch_size=RELEARN_BATCH,
                most=RELEARN_MOST,
            )
        except DivergedError:
            return RELEARN_MOST
        return RELEARN_MOST if steps is None else steps


def _lira(shadows: Shadows, ids: np.ndarray, tested: np.ndarray, known: np.ndarray, unknown: np.ndarray) -> Membership:
    """Of the training samples `ids`, whose logits are `known`, beside those test samples of class A at `tested`."""
    place = {identity: column for column, identity in enumerate(shadows.train_ids.tolist())}
    columns = [*(place[identity] for identity in ids.tolist()), *(len(shadows.train_ids) + tested)]
    scores = lira_scores(np.concatenate([known, unknown]), shadows.logits[:, columns], shadows.inside[:, columns])
    return membership(*np.split(scores, [len(known)]))


def _named(attack: str, found: Membership) -> dict[str, float | None]:
    rate = None if np.isnan(found.tpr_at_1_fpr) else found.tpr_at_1_fpr
    return {f"{attack}_auc": found.auc, f"{attack}_tpr_at_1_fpr": rate}
