"""Bodies that services answer, no more of them than can be meant; and what an error's body and headers say."""

import json
import time
import zlib
from email.utils import parsedate_to_datetime
from typing import Any

from overunlearn_jax.services.http.errors import shortened

FLOOR = 16 << 20  # bytes, unpacked, that any answer may have
A_SCORE = 256  # bytes more for each score that is asked for: a number with all its digits, and the name of its class
WORDS = 1 << 16  # bytes of an error's body that are read
PACKINGS = ("gzip", "x-gzip")


class UnusableBodyError(ValueError):
    """A body that is too large, or that cannot be unpacked; the message is the end of a sentence."""


def read_body(answer: Any, scores: int) -> bytes:
    """The body of an httpx answer whose stream is open, unpacked.

    What a service packs is unpacked as far as it may be, and no further: a small answer cannot fill the memory.

    Args:
      answer: of `httpx.Client.stream`.
      scores: numbers that were asked for; the body may have `FLOOR` bytes and `A_SCORE` for each.

    Raises:
      UnusableBodyError: more bytes than that, a packing that was not asked for, or one that is damaged.
      httpx.TransportError: the connection breaks.
    """
    most = FLOOR + A_SCORE * scores
    body = _first_bytes(answer, most + 1)
    if len(body) > most:
        raise UnusableBodyError(
            f"it has more than {most:,} bytes, which no answer to this needs: see whether the URL and --dialect are "
            "the service's, and what stands before it"
        )
    return body


def read_words(answer: Any) -> str:
    """What an error's body says, in brackets: `error.message`, or `error`, or `detail`, or all; empty for none."""
    try:
        text = _first_bytes(answer, WORDS).decode(errors="replace")
    except UnusableBodyError as error:
        return f"({error})"
    try:
        body = json.loads(text)
    except ValueError:
        return f"({shortened(text)})" if text.strip() else ""
    if isinstance(body, dict):
        said = body.get("error", body.get("detail", body.get("message", body)))
        body = said.get("message", said) if isinstance(said, dict) else said
    return f"({shortened(body if isinstance(body, str) else json.dumps(body))})"


def seconds_to_wait(header: str | None) -> float | None:
    """Retry-After: seconds, or a date (RFC 9110, section 10.2.3); None for what is neither."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


def _first_bytes(answer: Any, count: int) -> bytes:
    packing = answer.headers.get("Content-Encoding", "").strip().lower()
    if packing not in ("", "identity", *PACKINGS):
        raise UnusableBodyError(f"it is packed as {shortened(packing)!r}; expected gzip, or no Content-Encoding")
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS) if packing in PACKINGS else None
    body, piece = bytearray(), b""
    try:
        for piece in answer.iter_raw():
            body += unpacker.decompress(piece, count - len(body)) if unpacker else piece
            if len(body) >= count:
                return bytes(body[:count])
    except zlib.error as error:
        raise UnusableBodyError(f"it is no gzip, as its Content-Encoding says ({error})") from error
    if unpacker and piece and not unpacker.eof:
        raise UnusableBodyError("its gzip is cut short")
    return bytes(body)
