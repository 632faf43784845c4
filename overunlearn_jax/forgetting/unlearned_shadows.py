"""U-LiRA: LiRA by an attacker whose shadow models were unlearned, too.

Hayes et al., "Inexact Unlearning Needs More Careful Evaluations to Avoid a False Sense of Privacy" (2024). Models are
trained, each with a random half of the audited samples, and then asked to forget that half. What a forgotten sample
leaves behind is looked for among models that forgot it, not among models that still have it.

    inside = shadow_subsets(key, len(labels), 16)          # who was trained on what, and asked to forget it
    logits = ...                                           # of the models after they forgot
    [each.auc for each in u_lira(logits, inside)]          # 0.5: nobody can tell
"""

import numpy as np

from overunlearn_jax.forgetting._membership import Membership, membership
from overunlearn_jax.forgetting.lira import LEAST_EACH, lira_scores
from overunlearn_jax.types import Array

LEAST_MODELS = 2 * (LEAST_EACH + 1)  # without the target, enough are left of each kind


def u_lira_scores(logits: Array | np.ndarray, inside: np.ndarray) -> np.ndarray:
    """What `u_lira` ranks samples by: the higher, the more a model's answer is that of one that forgot the sample.

    A model that was trained on just the samples that the target was not, as every second one of `shadow_subsets`, is no
    judge of it. Of each sample that the target forgot it would be one more judge that never saw it, and of each other
    sample one more that forgot it: with nothing left to find that gave 0.48 among ten models in place of 0.5.

    Args:
      logits: shape=(s, n), `true_label_confidence` of each model on each sample, after it forgot its own.
      inside: shape=(s, n), dtype=bool: which model was trained on which sample, and forgot it.

    Returns:
      shape=(s, n), dtype=float64.

    Raises:
      ValueError: for fewer than 6 models, and as `lira_scores` does.
    """
    answers, kinds = np.asarray(logits, np.float64), np.asarray(inside)
    if len(answers) < LEAST_MODELS:
        raise ValueError(f"there are {len(answers)} models; expected at least {LEAST_MODELS}: each is judged by others")
    scores = []
    for number, (own, kind) in enumerate(zip(answers, kinds, strict=True)):
        partner = np.flatnonzero((kinds != kind).all(axis=1))[:1]
        no_judges = [number, *partner]
        scores.append(lira_scores(own, np.delete(answers, no_judges, 0), np.delete(kinds, no_judges, 0)))
    return np.stack(scores)


def u_lira(logits: Array | np.ndarray, inside: np.ndarray) -> list[Membership]:
    """How well samples that a model forgot are told from samples that it never saw, one verdict for each model.

    Each model is the target once, and the others are the attacker's, see `u_lira_scores`: the attacker knows the
    method, its settings and the training, and not the target's random numbers. The verdicts share their judges and the
    samples, so that they are no independent repeats. 0.5 is what a retrained model has, since a model retrained
    without a sample is one that never saw it. Give the logits of models that forgot nothing to see what there was to
    forget. Subsets come from `shadow_subsets` or are drawn independently; others that put every sample in exactly half
    of the models, without pairs, keep the bias that `u_lira_scores` speaks of.

    Args:
      logits: shape=(s, n), `true_label_confidence` of each model on each sample, after it forgot its own.
      inside: shape=(s, n), dtype=bool: which model was trained on which sample, and forgot it.

    Returns:
      s verdicts, in the order of the models.

    Raises:
      ValueError: for fewer than 6 models, and as `lira_scores` and `membership` do.

    Examples:
      >>> from itertools import permutations
      >>> inside = np.array(sorted(set(permutations([True, True, True, False, False, False])))).T
      >>> noise = np.random.default_rng(0).normal(size=inside.shape)
      >>> [each.auc for each in u_lira(9 * inside + noise, inside)]  # nothing was forgotten
      [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    answers, kinds = np.asarray(logits, np.float64), np.asarray(inside)
    scores = u_lira_scores(answers, kinds)
    return [membership(own[kind], own[~kind]) for own, kind in zip(scores, kinds, strict=True)]
