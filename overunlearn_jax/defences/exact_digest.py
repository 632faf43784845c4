"""Exact digests: whoever asks to delete an image has to send the image that the model was trained on, pixel for pixel.

The paper's first defence, and its first objection: an honest person's image that was stored anew (JPEG, another size)
has another digest. What a stored digest gives away: whoever has the digests and an image learns whether the image was
trained on. With a secret key (HMAC, RFC 2104) only whoever has the key does.
"""

import hashlib
import hmac

import numpy as np

from overunlearn_jax.defences.gate import View
from overunlearn_jax.defences.scored_gate import ScoredGate
from overunlearn_jax.pixels import check_pixels
from overunlearn_jax.stealth.pixels import to_8_bits
from overunlearn_jax.types import Bounds, Images, Request


def exact_digests(images: Images, bounds: Bounds, *, secret: bytes | None = None) -> list[bytes]:
    """SHA-256 of each image's shape and 8-bit pixels, or HMAC-SHA-256 under `secret`; 32 bytes each.

    Images are rounded to 8 bits first: two that are the same file are the same here, and what lies less than half a
    step, 1/510 of the bounds' width, from the original may be, too.

    Args:
      images: shape=(n, h, w, c), floats inside the bounds.
      bounds: of the pixels.
      secret: key of the HMAC; None: none.

    Raises:
      ValueError: other images, or an empty secret.

    >>> one, other = exact_digests(np.array([0.0, 1.0]).reshape(2, 1, 1, 1), Bounds(0.0, 1.0))
    >>> one == other, len(one)
    (False, 32)
    """
    array = check_pixels("images", images, bounds)
    if array.ndim != 4:
        raise ValueError(f"images have shape {array.shape}; expected (n, h, w, c)")
    if secret is not None and not secret:
        raise ValueError("the secret is empty; expected some bytes, as of secrets.token_bytes(32), or None for no key")
    shape = ("x".join(map(str, array.shape[1:])) + ":").encode()
    messages = [shape + pixels.tobytes() for pixels in to_8_bits(array, bounds)]
    if secret is None:
        return [hashlib.sha256(message).digest() for message in messages]
    return [hmac.digest(secret, message, "sha256") for message in messages]


def exact_digest_gate(
    trained_on: list[bytes], *, secret: bytes | None = None, threshold: float | np.ndarray = 0.0
) -> ScoredGate:
    """Refuses an image whose digest is none of `trained_on`, which `exact_digests` made with the same secret.

    Score: 0 where it is one of them, 1 where not.

    The server holds: 32 bytes for each sample. Cost: a digest for each submitted image, microseconds. Source: Hu et
    al., NDSS 2024, section on defences.

    Args:
      trained_on: digests of the training images.
      secret: that they were made with; None: none.
      threshold: of the score, a number or shape=(k,): one a class.

    Raises:
      ValueError: no digests.
    """
    known = frozenset(trained_on)
    if not known:
        raise ValueError("there are no digests: give those of the training images, as exact_digests makes them")

    def score(request: Request, view: View) -> np.ndarray:
        digests = exact_digests(request.images, view.spec.bounds, secret=secret)
        return np.array([0.0 if digest in known else 1.0 for digest in digests])

    return ScoredGate("exact", score, threshold, "the model was not trained on this image, pixel for pixel")
