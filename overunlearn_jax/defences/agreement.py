"""Agreement: the submitted label has to be what the model predicts."""

import numpy as np

from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.defences.gate import View
from overunlearn_jax.defences.scored_gate import ScoredGate
from overunlearn_jax.defences.setting_ranges import MARGIN, check_in
from overunlearn_jax.types import Request


def agreement_gate(margin: float = 0.0) -> ScoredGate:
    """Refuses a sample where the label's probability is not at least `margin` above that of every other class.

    Score: the largest probability of another class minus the label's, -1 ... 1; the threshold is -margin. A margin of 0
    asks that the label be predicted, one of -1 nothing. Honest samples that the model gets wrong are refused. Infinity
    refuses all, minus infinity nothing.

    The server holds: the request. Cost: a prediction for each sample. Source: the simplest run-time check, a baseline
    for all others.

    Raises:
      ValueError: a margin outside -1 ... 1 that is not infinite.

    >>> agreement_gate(0.5).threshold
    -0.5
    """
    check_in(MARGIN, "the gate agreement", "margin", margin)

    def score(request: Request, view: View) -> np.ndarray:
        probabilities = predict_in_batches(view.predict, request.images).astype(np.float64)
        of_label = np.arange(probabilities.shape[1]) == np.asarray(request.labels)[:, None]
        others = np.where(of_label, -np.inf, probabilities).max(axis=1)
        return others - probabilities[of_label]

    return ScoredGate("agreement", score, -float(margin), "the model predicts another label, or not by enough")
