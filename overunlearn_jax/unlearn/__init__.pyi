from ._fine_tuning import fine_tuning, random_other_labels
from ._first_order import first_order, gradient_difference, sweep_tau
from ._gradient_ascent import gradient_ascent
from ._influence import influence
from ._neg_grad_plus import neg_grad_plus
from ._random_labels import random_labels
from ._retain_tuning import retain_tuning
from ._salun import saliency_mask, salun
from ._scrub import scrub
from .call import UnlearnFn
from .dampening import importance, selective_dampening
from .exact import retrain
from .fidelity import FIDELITIES, Fidelity
from .matching import Searchable, match_samples, searchable, without
from .own_function import user_method
from .partition import merge_params, parameter_paths, partition_params
from .registry import METHODS, Method, Resources, build, read_settings
from .replacements import REPLACEMENTS, replacement_images
from .sample_gradients import sample_gradient_norms
from .transforms import first_order_transform
from .updates import along_step, step_cosine, step_length

__all__ = [
    "FIDELITIES",
    "METHODS",
    "REPLACEMENTS",
    "Fidelity",
    "Method",
    "Resources",
    "Searchable",
    "UnlearnFn",
    "along_step",
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
    "sample_gradient_norms",
    "scrub",
    "searchable",
    "selective_dampening",
    "step_cosine",
    "step_length",
    "sweep_tau",
    "user_method",
    "without",
]
