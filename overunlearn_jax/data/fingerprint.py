"""A short hash that says whether two runs saw the same data."""

import hashlib
import json

import numpy as np

from overunlearn_jax.types import Splits

_DIGEST_BYTES = 8


def digest(splits: Splits) -> str:
    """Hashes everything in a loaded data set: spec, images, labels and ids, in order.

    Args:
      splits: what `load` returned.

    Returns:
      16 hexadecimal digits of BLAKE2b, the same in every process and on every platform. Any change of a
      value, a shape, a dtype, the order of samples or the split gives other digits.
    """
    hasher = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    hasher.update(json.dumps(splits.spec).encode())
    for split in (splits.train, splits.validation, splits.test):
        for array in split:
            little_endian = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            hasher.update(json.dumps([array.dtype.name, array.shape]).encode())
            hasher.update(little_endian.data)
    return hasher.hexdigest()
