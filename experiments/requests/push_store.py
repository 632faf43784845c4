"""Pushed samples on disk: a folder of files, each written whole, each with some samples that ended together."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from overunlearn_jax.attacks import PushResult
from overunlearn_jax.files import read_npz, write_npz


class Stored(NamedTuple):
    """What is known of some samples."""

    ids: np.ndarray  # shape=(n,), dtype=int64
    result: PushResult
    seconds: float  # wall time that pushing them took


def join(parts: list[Stored]) -> Stored:
    """All of them as one. Raises ValueError for an empty list."""
    if not parts:
        raise ValueError("nothing to join")
    result = PushResult(*(np.concatenate(arrays) for arrays in zip(*(part.result for part in parts), strict=True)))
    return Stored(np.concatenate([part.ids for part in parts]), result, sum(part.seconds for part in parts))


def read(directory: Path, ids: np.ndarray) -> list[Stored]:
    """Those of the samples `ids` that lie in the folder, a part from each file."""
    parts = []
    for path in sorted(directory.glob("[0-9]*.npz")):
        stored = _read(path)
        kept = np.isin(stored.ids, ids)
        if kept.any():
            result = PushResult(*(array[kept] for array in stored.result))
            parts.append(Stored(stored.ids[kept], result, stored.seconds * float(kept.mean())))
    return parts


def write(directory: Path, stored: Stored) -> None:
    """Adds a file, named after its first sample and their number."""
    path = directory / f"{stored.ids[0]}_{len(stored.ids)}.npz"
    write_npz(path, ids=stored.ids, seconds=stored.seconds, **stored.result._asdict())


def _read(path: Path) -> Stored:
    stored = read_npz(path, ("ids", "seconds", *PushResult._fields), "delete it, and its samples are pushed again")
    result = PushResult(*(stored[field] for field in PushResult._fields))
    return Stored(stored["ids"], result, float(stored["seconds"]))
