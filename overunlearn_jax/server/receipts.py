"""Receipts: which sample of the training data is whose, and what it is called in a deletion."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from overunlearn_jax.server.refusals import RefusedError
from overunlearn_jax.types import Bounds, Request, Split

# One answer for a sample that is not there and for another's: whether somebody's sample was trained on is no business
# of anybody else.
NOT_YOURS = "of these identifiers, {} is none that this token has a receipt for"


def identifier_of(sample_id: int) -> str:
    """What the training sample with this `Split.ids` is called."""
    return f"train-{sample_id}"


class Receipts:
    """Who handed in which training sample.

    Args:
      train: the training data.
      owners: of each sample, n names.
      bounds: of the pixels: two images are one sample where they are the same in 8 bits.
    """

    def __init__(self, train: Split, owners: Sequence[str], bounds: Bounds):
        if len(owners) != len(train.labels):
            raise ValueError(f"{len(owners)} owners for {len(train.labels)} samples; expected one each")
        self.train, self._owners, self._bounds = train, tuple(owners), bounds
        self._rows = {identifier_of(int(sample_id)): row for row, sample_id in enumerate(train.ids)}
        self._by_pixels: dict[tuple[str, int, bytes], list[int]] = defaultdict(list)
        for row, digest in enumerate(_digests(train.images, bounds)):
            self._by_pixels[self._owners[row], int(train.labels[row]), digest].append(row)

    def rows_of(self, owner: str, identifiers: Sequence[str]) -> list[int]:
        """Positions in the training data, each once. Raises RefusedError 404 for one of nobody or of another."""
        rows = []
        for identifier in identifiers:
            row = self._rows.get(identifier)
            if row is None or self._owners[row] != owner:
                raise RefusedError(404, "unknown_identifier", NOT_YOURS.format(repr(identifier[:80])))
            rows.append(row)
        return list(dict.fromkeys(rows))

    def rows_of_samples(self, owner: str, request: Request) -> list[int]:
        """Positions of the training samples that are submitted, each once.

        Raises RefusedError 403 for a sample that its sender has no receipt for, another label of it included.
        """
        rows = []
        for index, digest in enumerate(_digests(np.asarray(request.images), self._bounds)):
            found = self._by_pixels.get((owner, int(request.labels[index]), digest), ())
            if not found:
                raise RefusedError(
                    403,
                    "not_yours",
                    f"sample {index} with its label is none that this token has a receipt for: submit samples as they "
                    "were handed in",
                )
            rows += found
        return list(dict.fromkeys(rows))

    def of_owner(self, owner: str) -> list[int]:
        """Positions of all samples of an owner."""
        return [row for row, each in enumerate(self._owners) if each == owner]


def shared_out(count: int, owners: Sequence[str]) -> list[str]:
    """Who hands in which of `count` samples: the first the first, and so on, and over again."""
    return [owners[index % len(owners)] for index in range(count)]


def _digests(images: np.ndarray, bounds: Bounds) -> list[bytes]:
    unit = (images.astype(np.float64) - bounds.lower) / (bounds.upper - bounds.lower)
    pixels = np.rint(255 * np.clip(unit, 0, 1)).astype(np.uint8)
    return [hashlib.blake2b(np.ascontiguousarray(each).tobytes(), digest_size=16).digest() for each in pixels]
