"""LPIPS, where the flags ask for it."""

from experiments.config import MeasuresConfig
from overunlearn_jax.auditing.rows import Perceptual
from overunlearn_jax.stealth import lpips
from overunlearn_jax.types import DatasetSpec


def perceptual(config: MeasuresConfig, spec: DatasetSpec) -> Perceptual | None:
    """The distance that `--lpips` names, or None. Raises what `lpips.load_weights` does."""
    if not config.lpips:
        return None
    weights = lpips.load_weights(config.lpips, config.lpips_weights or None)
    return lambda originals, submitted: lpips.perceptual_distances(
        config.lpips, weights, originals, submitted, spec.bounds
    )
