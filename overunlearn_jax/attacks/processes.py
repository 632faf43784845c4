"""Several processes, one push: each takes its share of the samples, and every one gets all results.

The processes find each other by `jax.distributed.initialize`. They meet once, at the end, so none waits for another
while it works. With one process there is nothing to share.
"""

from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from overunlearn_jax.black_box import BlackBox

Results = TypeVar("Results", bound=tuple[Any, ...])


def own_share() -> slice:
    """The samples that this process is to take: every `process_count`-th. A slice copies nothing."""
    return slice(jax.process_index(), None, jax.process_count())


def own_black_box(black_box: BlackBox) -> BlackBox:
    """The same victim with this process' equal part of the query budget."""
    if jax.process_count() == 1:
        return black_box
    left = None if black_box.left is None else black_box.left // jax.process_count()
    return BlackBox(
        black_box.spec,
        black_box.predict,
        budget=left,
        batch_size=black_box.batch_size,
        pixel_edits=black_box.pixel_edits,
        retries=black_box.retries,
        retry_on=black_box.retry_on,
        wait=black_box.wait,
    )


def total(count: int) -> int:
    """The sum of what every process counted."""
    if jax.process_count() == 1:
        return count
    halves = np.array(divmod(count, 2**31), np.int32)  # the wire knows 32 bits
    high, low = np.asarray(multihost_utils.process_allgather(halves)).astype(np.int64).sum(0)
    return int(high) * 2**31 + int(low)


def gathered(results: Results, count: int) -> Results:
    """The rows of all processes in the order of the samples, from a NamedTuple of each one's own rows."""
    if jax.process_count() == 1:
        return results
    longest = -(-count // jax.process_count())

    def gather(rows: np.ndarray) -> np.ndarray:
        padded = np.concatenate([rows, np.zeros((longest - len(rows), *rows.shape[1:]), rows.dtype)])
        everyone = np.asarray(multihost_utils.process_allgather(padded))  # (processes, rows, ...)
        return everyone.swapaxes(0, 1).reshape(-1, *rows.shape[1:])[:count]

    return type(results)(*map(gather, results))
