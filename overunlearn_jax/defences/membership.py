"""Membership inference as a gate: whoever asks to delete a sample has to show one that the model learned.

What the model was trained on it mostly knows well. Both gates refuse what it does not know under the submitted label;
honest samples that it gets wrong are among them. How sure the model is, `confidence_gate` asks alone; how much surer
than models that never saw the sample, `lira_gate` asks.
"""

from collections.abc import Callable, Sequence

import numpy as np

from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.defences.gate import View
from overunlearn_jax.defences.scored_gate import ScoredGate
from overunlearn_jax.forgetting import lira_scores, shadow_deviation, true_label_confidence
from overunlearn_jax.types import PredictFn, Request, Split
from overunlearn_jax.unlearn.matching import match_samples, searchable

InsideFn = Callable[[np.ndarray], np.ndarray]  # images (n, h, w, c) to shape=(s, n), dtype=bool


def confidence_gate(threshold: float | np.ndarray) -> ScoredGate:
    """Refuses a sample where the model's loss in the submitted label is above the threshold.

    Score: -log p_y in nats, at least 0; log 2 where the label has half of the probability.

    The server holds: the request. Cost: a prediction for each sample. Source: Yeom et al., Privacy Risk in Machine
    Learning, CSF 2018; named as a defence by Hu et al., NDSS 2024.

    Args:
      threshold: in nats, a number or shape=(k,): one a class.
    """

    def score(request: Request, view: View) -> np.ndarray:
        known = true_label_confidence(predict_in_batches(view.predict, request.images), request.labels)
        return np.logaddexp(0.0, -known)  # -log p_y, with the digits that 1 - p_y would lose

    return ScoredGate("confidence", score, threshold, "the model is not sure of the submitted label")


def lira_gate(
    shadows: Sequence[PredictFn],
    scale: Request | Split,
    threshold: float | np.ndarray,
    *,
    inside_of: InsideFn | None = None,
) -> ScoredGate:
    """Refuses a sample that the model knows no better than shadow models do that never saw it.

    Score: minus that of `lira_scores`. Without `inside_of` (offline) it is how many standard deviations the model's
    logit lies below the mean of the shadow models', with it (online) a log-likelihood ratio.

    The server holds: the shadow models, and for `inside_of` the training data. Cost: a prediction for each sample and
    shadow model, after training them. Source: Carlini et al., Membership Inference Attacks From First Principles,
    S&P 2022.

    Args:
      shadows: s models like the deployed one, at least 2, that saw none of what is asked about; with `inside_of`, each
        trained on part of it.
      scale: any samples; what shadow models answer about them gives the one standard deviation of all scores, so that
        no sample's score depends on the others of its request.
      threshold: of the score, a number or shape=(k,): one a class.
      inside_of: says which shadow models were trained on what is submitted, as `inside_by_nearest` does.

    Raises:
      ValueError: as `lira_scores`; of the gate, too.
    """

    def answers(request: Request | Split) -> tuple[np.ndarray, np.ndarray]:
        images = np.asarray(request.images)
        logits = np.stack(
            [true_label_confidence(predict_in_batches(shadow, images), request.labels) for shadow in shadows]
        )
        return logits, np.zeros(logits.shape, bool) if inside_of is None else inside_of(images)

    if len(shadows) < 2:
        raise ValueError(f"there are {len(shadows)} shadow models; expected at least 2: one alone has no spread")
    offline = inside_of is None
    deviation = shadow_deviation(*answers(scale), offline=offline)

    def score(request: Request, view: View) -> np.ndarray:
        target = true_label_confidence(predict_in_batches(view.predict, request.images), request.labels)
        return -lira_scores(target, *answers(request), offline=offline, deviation=deviation)

    return ScoredGate("lira", score, threshold, "the model knows it no better than models that never saw it")


def inside_by_nearest(train: Split, subsets: np.ndarray) -> InsideFn:
    """For `lira_gate`: what was trained on the nearest training image counts as trained on the submitted one.

    Args:
      train: m training samples.
      subsets: shape=(s, m), dtype=bool, from `shadow_subsets`: the samples that each shadow model was trained on.

    Raises:
      ValueError: another shape or dtype.
    """
    subsets = np.asarray(subsets)
    if subsets.dtype != bool or subsets.ndim != 2 or subsets.shape[1] != len(train.labels):
        raise ValueError(
            f"subsets are {subsets.dtype} of shape {subsets.shape}; expected bool (shadows, {len(train.labels)}), a "
            "column for each training sample"
        )
    held = searchable(train)
    return lambda images: subsets[:, match_samples(images, held).rows]
