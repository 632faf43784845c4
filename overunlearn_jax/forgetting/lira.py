"""LiRA, the likelihood-ratio attack (Carlini et al., "Membership Inference Attacks From First Principles", S&P 2022).

Shadow models are trained on random halves of a pool that holds the forget set and samples never seen. Each sample then
has logits from models that saw it and from models that did not; a Gaussian is fitted to either, and the target model's
logit is judged by which of the two explains it better. What is easy for every model no longer looks remembered.

    subsets = shadow_subsets(subset_key, len(labels), 16)
    shadows = shadow_logits(train, train_key, subsets, images, labels)
    scores = lira_scores(true_label_confidence(predict(images), labels), shadows, subsets)
    membership(scores[forget], scores[never_seen])

Where the authors' public code takes medians, deviations with ddof 0 and, offline, a two-sided score, this takes means,
ddof 1 and the paper's one-sided score; on the same scores the offline area was .742 so and .647 their way.

An unlearned model is neither kind: `u_lira` is the attack adapted to unlearning.
"""

from typing import NamedTuple

import numpy as np

from overunlearn_jax.types import Array

SHADOWS_FOR_OWN_VARIANCE = 64  # from this many shadow models on, the paper fits each sample's variance by itself
LEAST_EACH = 2  # shadow models with, and without, every sample: one alone has no spread


def lira_scores(
    target_logits: Array | np.ndarray,
    shadow_logits: Array | np.ndarray,
    inside: np.ndarray,
    *,
    shared_variance: bool | None = None,
    offline: bool = False,
    deviation: float | None = None,
) -> np.ndarray:
    """The log-likelihood ratio log N(x; mu_in, sd_in) - log N(x; mu_out, sd_out) of each sample's target logit x.

    High: the target behaves like models that were trained on the sample. 0: both explain it equally well. A forgotten
    sample should score as one never seen: compare the two by `membership`.

    The means are each sample's own. A variance shared by all samples is the mean of the squared deviations from those
    means, one for "in" and "out" together. (The authors' code, too, uses one for both: the spread of all answers "in"
    about a common mean, which also counts how samples differ.) The score is then linear in x: a model that is neither
    kind, such as one that lost the class, is not judged by which tail is thinner. Sums of squares are divided by their
    degrees of freedom.

    Args:
      target_logits: shape=(n,), `true_label_confidence` of the model under attack.
      shadow_logits: shape=(s, n), the same of the shadow models.
      inside: shape=(s, n), dtype=bool: which shadow model was trained on which sample.
      shared_variance: one variance for all samples; None: as in the paper, where there are fewer than 64 shadow models.
        Give all samples that are to be compared in one call then: of another set it would be another scale.
      offline: use only the models that did not see the sample. Scores are then the standard deviations by which x lies
        above their mean: the order of the paper's 1 - Pr[Z > x], which would round to 1 for all clear members.
      deviation: the standard deviation of every sample's Gaussians, from `shadow_deviation` of other samples: scores of
        several calls are then on one scale, and no sample's depends on its neighbours. None: from these samples.

    Returns:
      shape=(n,), dtype=float64.

    Raises:
      ValueError: for shapes that do not fit, values that are not finite, a sample that fewer than 2 shadow models were
        trained on (unless offline) or fewer than 2 were not, shadow models that all answer alike, or a deviation that
        is given with shared_variance, or is not above 0.

    Examples:
      >>> shadow_answers = np.array([[3.0], [5.0], [-1.0], [1.0]])  # 4 and 0 on average, both of variance 2
      >>> lira_scores(np.array([4.0]), shadow_answers, np.array([[True], [True], [False], [False]])).round(6).tolist()
      [4.0]
    """
    target, shadows = np.asarray(target_logits, np.float64), np.asarray(shadow_logits, np.float64)
    if target.ndim != 1 or len(target) == 0 or shadows.ndim != 2 or shadows.shape[1] != len(target):
        raise ValueError(
            f"target_logits have shape {target.shape} and shadow_logits {shadows.shape}; expected (n,) and (s, n): a "
            "row for each shadow model, a column for each sample"
        )
    if not np.isfinite(target).all():
        raise ValueError(_NOT_FINITE)
    groups = _groups(shadows, inside, offline)
    shared = len(shadows) < SHADOWS_FOR_OWN_VARIANCE if shared_variance is None else shared_variance
    if deviation is not None:
        if shared_variance is not None or not 0 < deviation < np.inf:
            raise ValueError(
                f"deviation is {deviation} and shared_variance {shared_variance}; expected one of them, and a "
                "deviation above 0, as `shadow_deviation` gives it"
            )
        deviations = [np.full_like(group.means, deviation) for group in groups]
    elif shared:
        deviations = [np.full_like(group.means, _shared_deviation(groups)) for group in groups]
    else:
        deviations = [_own_deviations(group) for group in groups]
    lengths = [(target - group.means) / deviation for group, deviation in zip(groups, deviations, strict=True)]
    if offline:
        return np.asarray(lengths[0])
    return np.asarray((lengths[0] ** 2 - lengths[1] ** 2) / 2 + np.log(deviations[0] / deviations[1]))


def shadow_deviation(shadow_logits: Array | np.ndarray, inside: np.ndarray, *, offline: bool = False) -> float:
    """How far shadow models' logits on a sample lie from their mean: the deviation that all samples share.

    For `lira_scores` of samples that are asked about one by one, or a few at a time, as a service is asked.

    Args:
      shadow_logits: shape=(s, n), of the samples that the scale is taken from.
      inside: shape=(s, n), dtype=bool: which shadow model was trained on which sample.
      offline: as `lira_scores` will be asked: only the models that did not see the sample.

    Raises:
      ValueError: as `lira_scores` does for these.

    Examples:
      >>> shadow_deviation(np.array([[3.0], [5.0], [-1.0], [1.0]]), np.array([[True], [True], [False], [False]])) ** 2
      2.0000000000000004
    """
    shadows = np.asarray(shadow_logits, np.float64)
    if shadows.ndim != 2 or shadows.size == 0:
        raise ValueError(f"shadow_logits have shape {shadows.shape}; expected (s, n), at least one model and sample")
    return _shared_deviation(_groups(shadows, inside, offline))


_NOT_FINITE = "logits hold NaN or infinity; `true_label_confidence` gives finite ones"


class _Group(NamedTuple):
    """What the shadow models of one kind answer about each sample."""

    name: str
    means: np.ndarray  # shape=(n,)
    squares: np.ndarray  # shape=(n,): sum of squared deviations from the mean
    free: np.ndarray  # shape=(n,): degrees of freedom of that sum


def _groups(shadows: np.ndarray, inside: np.ndarray, offline: bool) -> list[_Group]:
    inside = np.asarray(inside)
    if inside.shape != shadows.shape or inside.dtype != bool:
        raise ValueError(f"inside is {inside.dtype} of shape {inside.shape}; expected bool {shadows.shape}")
    if not np.isfinite(shadows).all():
        raise ValueError(_NOT_FINITE)
    groups = [_fit("not trained on", shadows, ~inside)]
    if not offline:
        groups.append(_fit("trained on", shadows, inside))
    return groups


def _fit(name: str, logits: np.ndarray, chosen: np.ndarray) -> _Group:
    counts = chosen.sum(0)
    if counts.min() < LEAST_EACH:
        raise ValueError(
            f"sample {counts.argmin()} was {name} by {counts.min()} of {len(logits)} shadow models; expected at least "
            f"{LEAST_EACH}: train more, on `shadow_subsets`"
        )
    means = logits.sum(0, where=chosen) / counts
    return _Group(name, means, ((logits - means) ** 2).sum(0, where=chosen), counts - 1)


def _shared_deviation(groups: list[_Group]) -> float:
    variance = sum(group.squares.sum() for group in groups) / sum(group.free.sum() for group in groups)
    largest = max(np.abs(group.means).max() for group in groups)
    if _is_nothing(np.sqrt(variance), largest):
        raise ValueError("the shadow models all answer alike: no Gaussian fits; give each its own key and subset")
    return float(np.sqrt(variance))


def _own_deviations(group: _Group) -> np.ndarray:
    deviations = np.sqrt(group.squares / group.free)
    alike = _is_nothing(deviations, np.abs(group.means))
    if alike.any():
        raise ValueError(
            f"the shadow models {group.name} sample {alike.argmax()} all answer alike: no Gaussian fits; "
            "take shared_variance=True"
        )
    return np.asarray(deviations)


def _is_nothing(deviation: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Whether a deviation is no more than float32's rounding of answers of that size."""
    return np.asarray(deviation <= np.finfo(np.float32).eps * np.maximum(size, 1))
