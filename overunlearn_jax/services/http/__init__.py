"""A client for services that are deployed: one dialect a file, tokens, retries, deletion by HTTP and ways to undo it.

client = HttpClient("https://models.example", token=token_from(env="MODEL_TOKEN"))
service = HttpService(data.spec, client, OpenInference("digits"))
ou.audit(service, data, class_a="3")

Needs httpx and tenacity: `pip install -e '.[http]'`. `schema.md` beside this file documents deletion,
`dialects/own.py` a service that speaks none of the dialects, `dialects/__init__.py` what a new one needs.
"""

from overunlearn_jax.services.http.client import HttpClient
from overunlearn_jax.services.http.deletion import ByIdentifier, BySubmission
from overunlearn_jax.services.http.dialects import (
    HuggingFace,
    Mlflow,
    OpenInference,
    OwnDialect,
    TensorFlowServing,
)
from overunlearn_jax.services.http.errors import RefusedError, UnavailableError
from overunlearn_jax.services.http.http_service import HttpService
from overunlearn_jax.services.http.secret import Secret, token_from
from overunlearn_jax.services.http.settings import ClientSettings, Sent
from overunlearn_jax.services.http.undo import NoUndo, Replica, Snapshot, UndoCommand

__all__ = [
    "ByIdentifier",
    "BySubmission",
    "ClientSettings",
    "HttpClient",
    "HttpService",
    "HuggingFace",
    "Mlflow",
    "NoUndo",
    "OpenInference",
    "OwnDialect",
    "RefusedError",
    "Replica",
    "Secret",
    "Sent",
    "Snapshot",
    "TensorFlowServing",
    "UnavailableError",
    "UndoCommand",
    "token_from",
]
