"""How services want images and give answers: one dialect a file behind `base.Dialect`.

A service that speaks another one needs no change here: `own.py` says how `--dialect=my_module:my_function` asks it.

A new dialect of this package is a file beside this one and a line in each of:

    __init__.py here and in services/http        its class, imported and in `__all__`
    experiments/config/connection.py             its name in `DIALECTS`, and words in the help of `dialect`
    experiments/victims/over_http.py             its branch in `dialect_of`
    experiments/config/config.py                 its name, where it cannot do without `--model_name`
    tests/services/http/fake_server.py           its route in `_route`
    tests/services/http/test_dialects.py         an object in `COMPARED`: its answers are those of the model
    tests/experiments/test_service_url.py        its name and class in `KINDS`

The last two files have tests that go over all dialects and say which of these is missing.
"""

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
