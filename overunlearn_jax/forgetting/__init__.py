"""Did the model forget? Membership inference, distance to a retrained model, relearn time.

`true_label_confidence` and `membership` need one model; `js_distance` and `relearn_steps` need a retrained one to
compare with; `lira_scores` needs shadow models. `u_lira` and `klom` compare many unlearned models with many that never
saw the samples. Knows nothing of attacks or of how a model was unlearned.
"""

from overunlearn_jax.forgetting._membership import Membership, membership, true_label_confidence
from overunlearn_jax.forgetting.distances import js_distance
from overunlearn_jax.forgetting.lira import lira_scores, shadow_deviation
from overunlearn_jax.forgetting.loss import mean_loss
from overunlearn_jax.forgetting.margins import klom, klom_of_few
from overunlearn_jax.forgetting.relearn import relearn_steps
from overunlearn_jax.forgetting.shadows import shadow_logits, shadow_subsets
from overunlearn_jax.forgetting.unlearned_shadows import LEAST_MODELS, u_lira, u_lira_scores

__all__ = [
    "LEAST_MODELS",
    "Membership",
    "js_distance",
    "klom",
    "klom_of_few",
    "lira_scores",
    "mean_loss",
    "membership",
    "relearn_steps",
    "shadow_deviation",
    "shadow_logits",
    "shadow_subsets",
    "true_label_confidence",
    "u_lira",
    "u_lira_scores",
]
