"""How sure a mean AUC is that all models share: over the audited samples, and over the models that are judged.

Models are judged by each other on the same samples, so that their AUCs are no independent repeats: a Student-t interval
over them held the truth in 80 of 100 simulations where 95 were meant. Samples and judged models are drawn anew with
replacement, each by itself (the pigeonhole bootstrap: Owen, "The pigeonhole bootstrap", 2007). Over samples alone such
an interval held the truth in 93 to 97 of 100 simulations with nothing between models but chance; with both it is wider,
and holds it in 99.
"""

import numpy as np

from overunlearn_jax.statistics.intervals import Interval

DRAWS, SEED = 2000, 7
CONFIDENCE = 0.95


def resampled_aucs(scores: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Mean AUCs over models: of all as they are, then of DRAWS draws of samples and models.

    With the same numbers of both the draws are the same, so that differences are paired.

    Args:
      scores: shape=(s, n), of each model on each audited sample.
      inside: shape=(s, n), dtype=bool: which model forgot which sample.

    Returns:
      shape=(1 + DRAWS,), dtype=float64.
    """
    models, samples = scores.shape
    rng = np.random.default_rng(SEED)
    of_samples, of_models = (
        np.vstack([np.ones(count), rng.multinomial(count, np.full(count, 1 / count), size=DRAWS)])
        for count in (samples, models)
    )
    aucs = np.stack([_aucs(*each, of_samples) for each in zip(scores, inside, strict=True)], axis=1)
    return np.asarray((aucs * of_models).sum(1) / models)


def interval(values: np.ndarray, models: int) -> Interval:
    """The first value, and the quantiles of the others around it."""
    low, high = np.nanquantile(values[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(values[0]), float(low), float(high), models)


def _aucs(scores: np.ndarray, inside: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of one model, for each draw; `weights` say how often a sample was drawn, shape=(draws, n). NaN without a pair."""
    forgotten, unseen = scores[inside], scores[~inside]
    above = (forgotten[:, None] > unseen) + 0.5 * (forgotten[:, None] == unseen)
    of_forgotten, of_unseen = weights[:, inside], weights[:, ~inside]
    pairs = of_forgotten.sum(1) * of_unseen.sum(1)
    wins = ((of_forgotten @ above) * of_unseen).sum(1)
    return np.divide(wins, pairs, out=np.full_like(wins, np.nan), where=pairs > 0)
