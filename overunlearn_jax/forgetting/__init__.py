"""Did the model forget? Membership inference, distance to a retrained model, relearn time.

`true_label_confidence` and `membership` need one model; `js_distance` and `relearn_steps` need a retrained one to
compare with; `lira_scores` is the strongest and needs shadow models. Knows nothing of attacks or of how a model was
unlearned.
"""

from overunlearn_jax.forgetting._membership import Membership, membership, true_label_confidence
from overunlearn_jax.forgetting.distances import js_distance
from overunlearn_jax.forgetting.lira import lira_scores, shadow_deviation
from overunlearn_jax.forgetting.loss import mean_loss
from overunlearn_jax.forgetting.relearn import relearn_steps
from overunlearn_jax.forgetting.shadows import shadow_logits, shadow_subsets

__all__ = [
    "Membership",
    "js_distance",
    "lira_scores",
    "mean_loss",
    "membership",
    "relearn_steps",
    "shadow_deviation",
    "shadow_logits",
    "shadow_subsets",
    "true_label_confidence",
]
