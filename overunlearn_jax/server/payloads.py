"""What a deletion is of, as bytes in the journal."""

import io
from typing import NamedTuple

import numpy as np


class Payload(NamedTuple):
    """What a deletion is of: rows of the training data, or images with labels."""

    rows: np.ndarray | None = None  # shape=(n,), dtype=int64
    images: np.ndarray | None = None  # shape=(n, h, w, c), dtype=float32
    labels: np.ndarray | None = None  # shape=(n,), dtype=int32


def packed(payload: Payload) -> bytes:
    """As bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: value for name, value in payload._asdict().items() if value is not None})
    return buffer.getvalue()


def unpacked(content: bytes) -> Payload:
    """What `packed` was given."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return Payload(**{name: arrays[name] for name in arrays})
