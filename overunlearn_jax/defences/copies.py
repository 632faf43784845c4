"""Copies: one sample, sent again and again in one request, counts once."""

import numpy as np

from overunlearn_jax.defences.gate import Decision, Gate, View
from overunlearn_jax.defences.perceptual_hash import bits_a_side, perceptual_hashes
from overunlearn_jax.defences.scored_gate import check_submitted
from overunlearn_jax.types import Request


def copies_gate(distance: float = 30.0, *, bits: int = 256) -> Gate:
    """Refuses an image whose hash differs in at most `distance` bits from that of one before it in the request.

    A request of one sample many times is as long as it has copies, and every gate that looks at samples one by one
    lets all of them through, a digest of the training images too. `identifier` forgets an original once, and needs no
    such gate.

    Score: minus the bits that differ from the nearest image before it, so that copies stand highest; the threshold is
    minus `distance`, and a score at it is refused. The first image of a request, with nothing before it, is accepted.
    How far copies that are stored anew move: `perceptual_hash_gate`.

    The server holds: the request. Cost: a hash for each image, and n^2 / 2 comparisons. Source: this package.

    Args:
      distance: bits; below 0 refuses nobody, infinity all but the first.
      bits: of a hash, see `perceptual_hashes`.

    Raises:
      ValueError: NaN for `distance`; bits that `perceptual_hashes` does not make; of the gate: a wrong request.

    >>> from overunlearn_jax.types import Bounds, DatasetSpec
    >>> view = View(DatasetSpec("grey", (8, 8, 1), Bounds(0.0, 1.0), ("a", "b")), lambda images: images)
    >>> image = np.random.default_rng(0).uniform(size=(1, 8, 8, 1)).astype(np.float32)
    >>> copies_gate(bits=64)(Request(np.repeat(image, 3, 0), np.zeros(3, np.int32)), view).accepted.tolist()
    [True, False, False]
    """
    if np.isnan(distance):
        raise ValueError("distance is NaN; expected bits that differ")
    bits_a_side(bits)

    def copies(request: Request, view: View) -> Decision:
        checked = check_submitted(request, view.spec)
        hashes = perceptual_hashes(checked.images, view.spec.bounds, bits=bits)
        between = [np.bitwise_count(hashes[:row] ^ hashes[row]).sum(-1) for row in range(len(hashes))]
        nearest = np.array([each.min(initial=bits + 1) for each in between], np.float64)
        accepted = (nearest > distance) | (np.arange(len(nearest)) == 0)
        return Decision("copies", accepted, -nearest, -float(distance), "another sample of the request looks like it")

    return copies
