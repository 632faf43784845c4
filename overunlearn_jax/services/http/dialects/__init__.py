"""How services want images and give answers: one dialect a file behind `base.Dialect`."""

from overunlearn_jax.services.http.dialects.base import Description, Dialect, Get, Parts
from overunlearn_jax.services.http.dialects.hugging_face import HuggingFace
from overunlearn_jax.services.http.dialects.mlflow_server import Mlflow
from overunlearn_jax.services.http.dialects.open_inference import OpenInference
from overunlearn_jax.services.http.dialects.own import OwnDialect
from overunlearn_jax.services.http.dialects.tensorflow_serving import TensorFlowServing

__all__ = [
    "Description",
    "Dialect",
    "Get",
    "HuggingFace",
    "Mlflow",
    "OpenInference",
    "OwnDialect",
    "Parts",
    "TensorFlowServing",
]
