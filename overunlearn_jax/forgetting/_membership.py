"""Membership inference by confidence: does the model know its forget set better than data it never saw?

The threshold attack of Yeom et al. (CSF 2018) calls a sample a member where the model's loss on it is low. Carlini et
al. (S&P 2022) rescale the same quantity to a logit and report the true-positive rate at a low false-positive rate.

>>> result = membership(np.array([3.0, 2.0, 0.5]), np.array([1.0, 0.0]))
>>> round(result.auc, 3), result.members, result.others
(0.833, 3, 2)
"""

from typing import NamedTuple

import numpy as np

from overunlearn_jax.forgetting.checks import check_probabilities
from overunlearn_jax.labels import check_labels
from overunlearn_jax.types import Array, Labels, Probabilities

FALSE_POSITIVE_RATE = 0.01
LEAST_OTHERS = 100  # with fewer, one false positive is already more than 1 %
LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)  # about 1e-38; devices round what is smaller to 0


class Membership(NamedTuple):
    """How well a score tells samples asked about ("members") from samples never seen ("others").

    `auc` is the probability that a random member scores higher than a random other sample, ties counted half.
    0.5: this score cannot tell them apart. What forgetting aims at is the AUC of a model that was retrained without the
    members, on the same samples; that is 0.5 where both sets were chosen alike for it, too. Above it the members are
    remembered. Below it they look stranger than to a model that never saw them: forgetting itself is visible (the
    "Streisand effect", Golatkar et al., CVPR 2020), and an attacker who turns the score round gains from it.

    `tpr_at_1_fpr` is the share of members found by the lowest threshold that at most 1 % of the others reach; samples
    of equal score pass it together. 0.01 is chance, higher is worse. It does not see the Streisand effect: negate the
    scores for that. NaN with fewer than 100 others, where no threshold but one above them all keeps to 1 %.
    """

    auc: float
    tpr_at_1_fpr: float  # NaN where others < 100
    members: int  # samples that the attack should find
    others: int  # samples that the model never saw


def true_label_confidence(probabilities: Probabilities | np.ndarray, labels: Labels) -> np.ndarray:
    """The logit of each true label's probability, log(p_y / (1 - p_y)): high where the model knows the sample.

    For one model this orders samples as the loss -log p_y does (Yeom et al.), but it is close to a Gaussian, which LiRA
    needs (Carlini et al.).

    It is log p_y minus the log of the *sum of the other classes*, in float64. 1 - p_y would be 0 as soon as float32
    rounds p_y to 1 (from p_y = 1 - 3e-8 on), whereas the small probabilities of the other classes keep their digits
    down to 1e-38. Both terms are floored there, so that every answer is finite and lies within -87.4 ... 87.4.

    Args:
      probabilities: shape=(n, k), dtype=float32 as from a `PredictFn`.
      labels: shape=(n,), integers in 0 ... k - 1.

    Returns:
      shape=(n,), dtype=float64.

    Raises:
      ValueError: if the rows are no probabilities or the labels do not fit them.

    Examples:
      >>> true_label_confidence(np.array([[0.25, 0.75], [0.25, 0.75]]), np.array([0, 1])).round(3).tolist()
      [-1.099, 1.099]
    """
    checked = check_probabilities("probabilities", probabilities)
    of_label = np.arange(checked.shape[1]) == check_labels("labels", labels, *checked.shape)[:, None]
    true = checked.sum(-1, where=of_label)
    rest = checked.sum(-1, where=~of_label)
    return np.log(np.maximum(true, LEAST_PROBABILITY)) - np.log(np.maximum(rest, LEAST_PROBABILITY))


def membership(members_scores: Array | np.ndarray, others_scores: Array | np.ndarray) -> Membership:
    """How well a score, high for members, tells one set of samples from another. See `Membership` for the directions.

    The others have to come from the distribution of the members, class by class, and be chosen by the same rule (test
    samples of the same classes, say): what else tells the two sets apart counts as memory here. AUC has a standard
    error of about sqrt((m + o + 1) / (12 m o)) for m members and o others near 0.5: 0.03 for 200 each, 0.006 for 4,000
    each.

    Args:
      members_scores: shape=(m,), the forget set's scores, from `true_label_confidence` or `lira_scores`.
      others_scores: shape=(o,), scores of samples that the model was never trained on.

    Raises:
      ValueError: if either is empty, has another number of axes than one or is not finite.
    """
    from sklearn.metrics import roc_auc_score, roc_curve  # it takes a second to import

    members = _check_scores("members_scores", members_scores)
    others = _check_scores("others_scores", others_scores)
    truth = np.repeat([1, 0], [len(members), len(others)])
    scores = np.concatenate([members, others])
    true_positives = float("nan")
    if len(others) >= LEAST_OTHERS:
        false_rates, true_rates, _ = roc_curve(truth, scores, drop_intermediate=False)  # every threshold is a choice
        true_positives = float(true_rates[false_rates <= FALSE_POSITIVE_RATE].max())
    return Membership(float(roc_auc_score(truth, scores)), true_positives, len(members), len(others))


def _check_scores(name: str, scores: Array | np.ndarray) -> np.ndarray:
    array = np.asarray(scores, np.float64)
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"{name} has shape {array.shape}; expected (n,), one score a sample and at least one sample")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds {np.sum(~np.isfinite(array))} values that are not finite; leave them out first")
    return array
