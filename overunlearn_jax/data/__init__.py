"""Data sets by name or path (`load`), their fingerprint (`digest`), and which samples a request is for."""

from overunlearn_jax.data.fingerprint import digest
from overunlearn_jax.data.loading import BUILT_IN, holds_out_test, is_path, load
from overunlearn_jax.data.requests import candidates, class_index, request_size, take
from overunlearn_jax.data.tfds_builder import DatasetNotAvailableError

__all__ = [
    "BUILT_IN",
    "DatasetNotAvailableError",
    "candidates",
    "class_index",
    "digest",
    "holds_out_test",
    "is_path",
    "load",
    "request_size",
    "take",
]
