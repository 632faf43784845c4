"""Services of other frameworks in one line each; a framework is imported when it is first used.

Models of Flax and Equinox are JAX models: see `overunlearn_jax.models`.
"""

from overunlearn_jax.services.frameworks.pytorch import torch_predict, torch_service
from overunlearn_jax.services.frameworks.scikit_learn import scikit_learn_predict, scikit_learn_service

__all__ = ["scikit_learn_predict", "scikit_learn_service", "torch_predict", "torch_service"]
