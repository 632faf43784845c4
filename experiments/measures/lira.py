"""LiRA's verdict on a forget set, from what shadow models answer, and how rows name it."""

import numpy as np

from experiments.victims.shadows import Shadows
from overunlearn_jax.forgetting import Membership, lira_scores, membership


def lira_membership(
    shadows: Shadows, ids: np.ndarray, tested: np.ndarray, known: np.ndarray, unknown: np.ndarray
) -> Membership:
    """Of the training samples `ids`, whose logits are `known`, beside those test samples of class A at `tested`."""
    place = {identity: column for column, identity in enumerate(shadows.train_ids.tolist())}
    columns = [*(place[identity] for identity in ids.tolist()), *(len(shadows.train_ids) + tested)]
    scores = lira_scores(np.concatenate([known, unknown]), shadows.logits[:, columns], shadows.inside[:, columns])
    return membership(*np.split(scores, [len(known)]))


def named_membership(attack: str, found: Membership) -> dict[str, float | None]:
    """The row's fields of one attack; a rate that is not defined is null."""
    rate = None if np.isnan(found.tpr_at_1_fpr) else found.tpr_at_1_fpr
    return {f"{attack}_auc": found.auc, f"{attack}_tpr_at_1_fpr": rate}
