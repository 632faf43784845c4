"""What one finished cell puts into a row."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from overunlearn_jax.attacks import PushResult
from overunlearn_jax.auditing.choosing import AttackerSamples, saw_nothing
from overunlearn_jax.auditing.request_settings import Classes, RequestSettings
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.services.service import Variant
from overunlearn_jax.stealth.pixels import SSIM_WINDOW, from_8_bits, l2_distances, label_agreement, ssim, to_8_bits
from overunlearn_jax.types import DatasetSpec, Metrics, PredictFn, UnlearningRequest

Perceptual = Callable[[np.ndarray, np.ndarray], np.ndarray]  # originals and submitted images to distances (n,)


class Cell(NamedTuple):
    """One row of the results: one request to one service, forgotten in one way."""

    seed: int
    fraction: float
    attack: str
    variant: Variant

    @property
    def name(self) -> str:
        """Unique within a workdir, which holds one config."""
        tau = "" if self.variant.tau is None else f"/tau {self.variant.tau}"
        return f"seed {self.seed}/fraction {self.fraction}/{self.variant.fidelity}{tau}/{self.attack}"

    @property
    def request(self) -> str:
        """Its request's name as a file: one for all ways to forget it."""
        return f"seed_{self.seed}_fraction_{self.fraction:g}_{self.attack}"


class ServiceLabels(NamedTuple):
    """What rows call a service and what it does."""

    victim: str  # the name of its predictions
    model: str  # in a few words, for tables
    unlearning: str
    scope: str
    forgetting_name: str = ""  # the name of how it forgets
    experiment: str = "audit"
    dataset_note: str = ""


def describe_settings(
    labels: ServiceLabels, settings: RequestSettings, spec: DatasetSpec, classes: Classes, cell: Cell
) -> dict[str, Any]:
    """What the cell is about."""
    names = spec.class_names
    return {
        **labels._asdict(),
        "cell": cell.name,
        "dataset": spec.name,
        "fidelity": cell.variant.fidelity,
        "tau": cell.variant.tau,
        "attack": cell.attack,
        "goal": "untargeted" if classes.target is None else names[classes.target],
        "request_labels": settings.labels,
        "blending_ratio": settings.blending_ratio,
        "class_a_name": names[classes.a],
        "class_b_name": names[classes.b],
        "class_names": list(names),
        "fraction": cell.fraction,
        "seed": cell.seed,
    }


def describe_request(
    chosen: AttackerSamples,
    count: int,
    request: UnlearningRequest,
    predict: PredictFn,
    spec: DatasetSpec,
    distances: Perceptual | None,
) -> dict[str, Any]:
    """Size, cost and stealth of a request; `predict` is the deployed model, `distances` LPIPS where it is asked for."""
    l2 = l2_distances(request.original_images, request.images)
    deployed = predict_in_batches(predict, request.images).argmax(-1)
    on_disk = from_8_bits(to_8_bits(request.images, spec.bounds), spec.bounds)
    kept = deployed == predict_in_batches(predict, on_disk).argmax(-1)
    large_enough = min(spec.image_shape[:2]) >= SSIM_WINDOW
    queries, steps = int(request.queries.sum()), None  # choosing the samples cost one more each, whatever the request
    if chosen.pushed is not None and request.made_by.startswith("pushing"):
        tried = PushResult(*(array[:count] for array in chosen.pushed))
        queries += int(tried.queries[~tried.crossed].sum())  # samples that failed had their queries, too
        steps = float(np.median(tried.steps[tried.crossed]))
    return {
        "requested": count,
        "submitted": len(request.labels),
        "skipped": int(chosen.skipped[count - 1]),
        "failed": count - len(request.labels),
        "saw_nothing": 0 if chosen.pushed is None else saw_nothing(chosen.pushed, count),
        "queries": queries,
        "steps_median": steps,
        "label_agreement": label_agreement(request.labels, deployed),
        "same_side_in_8_bits": float(kept.mean()),
        "ssim_mean": float(ssim(request.original_images, request.images, spec.bounds).mean()) if large_enough else None,
        "lpips_mean": None if distances is None else float(distances(request.original_images, request.images).mean()),
        "l2_mean": float(l2.mean()),
        "l2_max": float(l2.max()),
        "seconds_attack": request.seconds,
    }


def accuracies(
    before: Metrics, training: Metrics | None, after: Metrics | None, after_right: Metrics | None, classes: Classes
) -> dict[str, Any]:
    """Test accuracy before and after unlearning; null for a class without test images, and after it diverged.

    `training` is of the victim on its training images, `after_right` of the unlearned model on the test images of
    class A that the victim predicted rightly, None where there are none.
    """

    def known(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    def of(metrics: Metrics | None, suffix: str) -> dict[str, Any]:
        if metrics is None:
            return dict.fromkeys(f"{name}{suffix}" for name in ("overall", "class_a", "class_b", "class_a_predicted"))
        return {
            f"overall{suffix}": metrics.overall,
            f"class_a{suffix}": known(metrics.per_class[classes.a]),
            f"class_b{suffix}": known(metrics.per_class[classes.b]),
            f"class_a_predicted{suffix}": metrics.predicted_counts[classes.a].tolist(),
        }

    counts = None if after_right is None else after_right.predicted_counts[classes.a].tolist()
    others = {
        "overall_train_before": None if training is None else training.overall,
        "class_b_test_images": int(before.predicted_counts[classes.b].sum()),
        "class_a_right_predicted": counts,
        "per_class": None if after is None else [known(value) for value in after.per_class],
    }
    return of(before, "_before") | of(after, "") | others
