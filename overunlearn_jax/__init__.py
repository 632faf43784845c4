"""Measures over-unlearning: how much more a malicious unlearning request makes a model forget than an honest one.

    dataset -> train a victim -> [black box] -> attack crafts a request -> unlearn -> evaluate -> report

Sub-modules: `types` (read first), `data`, `models`, `training`, `black_box`, `pixel_edit`, `attacks`, `unlearn`,
`evaluation`, `stealth`, `reporting`. The names below are the ones that most scripts need.
"""

from overunlearn_jax.attacks import ZooSettings, blend, push
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.data import load
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.models import Model, predict_fn, pure_model, resnet, vgg
from overunlearn_jax.training import TrainSettings, fit
from overunlearn_jax.types import Variables
from overunlearn_jax.unlearn import fine_tuning, first_order

__all__ = [
    "BlackBox",
    "Model",
    "TrainSettings",
    "Variables",
    "ZooSettings",
    "blend",
    "evaluate",
    "fine_tuning",
    "first_order",
    "fit",
    "load",
    "predict_fn",
    "pure_model",
    "push",
    "resnet",
    "vgg",
]
