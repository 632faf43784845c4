"""What a service does with a request; knows nothing of attacks."""

from overunlearn_jax.unlearn.fidelity import FIDELITIES, Fidelity
from overunlearn_jax.unlearn.fine_tuning import fine_tuning, random_other_labels
from overunlearn_jax.unlearn.first_order import UnlearnFn, first_order, gradient_difference, sweep_tau
from overunlearn_jax.unlearn.partition import merge_params, parameter_paths, partition_params
from overunlearn_jax.unlearn.replacements import REPLACEMENTS, replacement_images
from overunlearn_jax.unlearn.transforms import first_order_transform

__all__ = [
    "FIDELITIES",
    "REPLACEMENTS",
    "Fidelity",
    "UnlearnFn",
    "fine_tuning",
    "first_order",
    "first_order_transform",
    "gradient_difference",
    "merge_params",
    "parameter_paths",
    "partition_params",
    "random_other_labels",
    "replacement_images",
    "sweep_tau",
]
