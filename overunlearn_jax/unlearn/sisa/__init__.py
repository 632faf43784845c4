"""SISA: exact unlearning that trains again only what a request touches.

Bourtoule et al., "Machine Unlearning", IEEE S&P 2021, section IV. The training set is divided into shards, each with a
model of its own, and each shard into slices. A model is trained on slice 1, then on slices 1 and 2, and so on, and its
weights are kept after each slice. To forget samples, each model that saw one goes back to the weights from before the
first slice that holds one, and is trained again from there. The models answer as one by `sisa_model`.

    sisa = fit_sisa(model, train, settings, key)
    service = BlackBox(spec, predict_fn(sisa_model(model, settings.shards), sisa_variables(sisa)))

    rows = match_samples(request.images, train, most_l2=8.0).rows
    rows = rows[rows >= 0]  # -1: no match
    sisa, cost = forget(model, sisa, train, rows, settings, key)
    train = without(train, rows)
"""

from overunlearn_jax.unlearn.sisa.aggregation import AGGREGATIONS, check_aggregation, sisa_model, sisa_variables
from overunlearn_jax.unlearn.sisa.cost import Redone, expected_work_share
from overunlearn_jax.unlearn.sisa.plan import Assignment, SisaSettings, assign
from overunlearn_jax.unlearn.sisa.service import Sisa, fit_sisa, forget
from overunlearn_jax.unlearn.sisa.slices import SisaProgress

__all__ = [
    "AGGREGATIONS",
    "Assignment",
    "Redone",
    "Sisa",
    "SisaProgress",
    "SisaSettings",
    "assign",
    "check_aggregation",
    "expected_work_share",
    "fit_sisa",
    "forget",
    "sisa_model",
    "sisa_variables",
]
