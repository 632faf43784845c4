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


def u_lira(logits: Array | np.ndarray, inside: np.ndarray) -> list[Membership]:
    """How well samples that a model forgot are told from samples that it never saw, one verdict for each model.

    Each model is the target once, and all others are the attacker's: the attacker knows the method, its settings and
    the training, and not the target's random numbers. 0.5 is what a retrained model has, since a model retrained
    without a sample is one that never saw it. Give the logits of models that forgot nothing to see what there was to
    forget.

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
    if len(answers) < LEAST_MODELS:
        raise ValueError(f"there are {len(answers)} models; expected at least {LEAST_MODELS}: each is judged by others")
    found = []
    for number, (own, kind) in enumerate(zip(answers, kinds, strict=True)):
        scores = lira_scores(own, np.delete(answers, number, 0), np.delete(kinds, number, 0))
        found.append(membership(scores[kind], scores[~kind]))
    return found
