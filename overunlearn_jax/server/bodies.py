"""Bodies of requests: as much as may be, in as much time as may be, strict JSON."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from overunlearn_jax.server.refusals import RefusedError, invalid


async def read_body(request: Request, most: int, seconds: float) -> bytes:
    """The body of a request.

    Raises RefusedError 413 for more than `most` bytes, said or sent; 408 for one that does not come in time; 400 for
    half of one.
    """
    too_large = RefusedError(
        413,
        "too_large",
        f"a body may have {most} bytes: send fewer images at a time, or 8-bit pixels",
        {"Connection": "close"},
    )
    said = request.headers.get("content-length", "0")
    if said.isascii() and said.isdigit() and int(said) > most:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise too_large
                parts.append(part)
    except TimeoutError as error:
        message = f"the body had not come within {seconds:g} s"
        raise RefusedError(408, "too_slow", message, {"Connection": "close"}) from error
    except ClientDisconnect as error:
        raise RefusedError(400, "incomplete_body", f"the connection ended after {size} bytes of the body") from error
    return b"".join(parts)


def read_json(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises RefusedError 400 for anything else: NaN and infinity are no JSON."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusedError(400, "invalid_json", f"the body is no JSON ({error}); NaN and infinity are none") from error
    if not isinstance(value, dict):
        raise RefusedError(400, "invalid_json", f"the body is a JSON {_kind(value)}; expected an object")
    return value


def check_fields(value: Mapping[str, Any], required: Collection[str], optional: Collection[str] = ()) -> None:
    """Raises RefusedError 422 for a field that is missing or not known."""
    if missing := [name for name in required if name not in value]:
        raise invalid("missing_field", f"the field {missing[0]} is missing; expected {', '.join(required)}")
    if unknown := [name for name in value if name not in required and name not in optional]:
        known = ", ".join([*required, *optional])
        raise invalid("unknown_field", f"there is no field {unknown[0][:40]!r} here; expected some of {known}")


def _kind(value: object) -> str:
    kinds = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")
