"""What a server holds that gates are made of, and asking for it."""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from overunlearn_jax.models import Model
from overunlearn_jax.types import DatasetSpec, Key, PredictFn, Split, Variables


class Holdings(NamedTuple):
    """What a server holds; None where it does not."""

    spec: DatasetSpec
    train: Split | None = None  # what the model was trained on
    calibration: Split | None = None  # honest people's samples: some of `train`, stored anew by `re_encoded`
    predict: PredictFn | None = None  # as deployed
    model: Model | None = None
    variables: Variables | None = None  # of the model
    shadows: Sequence[PredictFn] | None = None  # models like the deployed one, see `lira_gate`
    shadow_subsets: np.ndarray | None = None  # shape=(s, m), dtype=bool: of `train`; None: the shadows saw none of it
    secret: bytes | None = None  # of keyed digests and hashes
    key: Key | None = None  # of noise and trees


def require(holdings: Holdings, fields: Iterable[str], who: str) -> None:
    """Raises ValueError, naming the fields, where the holdings lack some that `who` needs."""
    missing = [field for field in fields if getattr(holdings, field) is None]
    if missing:
        raise ValueError(f"{who} needs {', '.join(missing)}: give Holdings(..., {missing[0]}=...)")


def key_of(holdings: Holdings, who: str) -> Key:
    """A key of its own for each name."""
    require(holdings, ["key"], who)
    key: Any = holdings.key
    return jax.random.fold_in(key, zlib.crc32(who.encode()))
