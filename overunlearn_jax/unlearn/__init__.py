"""What a service does with a request; knows nothing of attacks."""

from overunlearn_jax.types import DivergedError
from overunlearn_jax.unlearn._fine_tuning import fine_tuning, random_other_labels
from overunlearn_jax.unlearn._first_order import first_order, gradient_difference, sweep_tau
from overunlearn_jax.unlearn._gradient_ascent import gradient_ascent
from overunlearn_jax.unlearn._influence import influence
from overunlearn_jax.unlearn._neg_grad_plus import neg_grad_plus
from overunlearn_jax.unlearn._random_labels import random_labels
from overunlearn_jax.unlearn._retain_tuning import retain_tuning
from overunlearn_jax.unlearn._salun import saliency_mask, salun
from overunlearn_jax.unlearn._scrub import scrub
from overunlearn_jax.unlearn.call import UnlearnFn
from overunlearn_jax.unlearn.dampening import importance, selective_dampening
from overunlearn_jax.unlearn.exact import retrain
from overunlearn_jax.unlearn.fidelity import FIDELITIES, Fidelity
from overunlearn_jax.unlearn.matching import match_samples, without
from overunlearn_jax.unlearn.partition import merge_params, parameter_paths, partition_params
from overunlearn_jax.unlearn.registry import METHODS, Method, Service, build, read_settings, user_method
from overunlearn_jax.unlearn.replacements import REPLACEMENTS, replacement_images
from overunlearn_jax.unlearn.transforms import first_order_transform

__all__ = [
    "FIDELITIES",
    "METHODS",
    "REPLACEMENTS",
    "DivergedError",
    "Fidelity",
    "Method",
    "Service",
    "UnlearnFn",
    "build",
    "fine_tuning",
    "first_order",
    "first_order_transform",
    "gradient_ascent",
    "gradient_difference",
    "importance",
    "influence",
    "match_samples",
    "merge_params",
    "neg_grad_plus",
    "parameter_paths",
    "partition_params",
    "random_labels",
    "random_other_labels",
    "read_settings",
    "replacement_images",
    "retain_tuning",
    "retrain",
    "saliency_mask",
    "salun",
    "scrub",
    "selective_dampening",
    "sweep_tau",
    "user_method",
    "without",
]
