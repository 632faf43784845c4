"""What a deletion does beyond accuracy: robustness to adversarial images, calibration, traces of what was forgotten.

This is the service owner's own look at a model, with its weights at hand. No attack on a service uses it: an attacker
sees a service through `black_box` alone.
"""

from overunlearn_jax.robustness._balls import NORMS
from overunlearn_jax.robustness._pgd import Pgd, accuracy_under_pgd, pgd
from overunlearn_jax.robustness.calibration import brier_score, expected_calibration_error
from overunlearn_jax.robustness.residual import neighbourhood_shares, residual_knowledge

__all__ = [
    "NORMS",
    "Pgd",
    "accuracy_under_pgd",
    "brier_score",
    "expected_calibration_error",
    "neighbourhood_shares",
    "pgd",
    "residual_knowledge",
]
