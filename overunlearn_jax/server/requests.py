"""Deletion requests: what the body of `POST /deletions` may be, and what the journal is given of it."""

import hashlib
from typing import Any, NamedTuple

import numpy as np

from overunlearn_jax.server.bodies import check_fields, read_json
from overunlearn_jax.server.core import ServedModel
from overunlearn_jax.server.payloads import Payload
from overunlearn_jax.server.pictures import RANGES, UNIT, class_labels, nested_images
from overunlearn_jax.server.queue import UNDONE, Entry, KeyReusedError, OwnerQueueFullError, QueueFullError
from overunlearn_jax.server.receipts import Receipts
from overunlearn_jax.server.refusals import RefusedError, invalid
from overunlearn_jax.server.tokens import Holder
from overunlearn_jax.types import Request

WAYS = ("submission", "identifier")
LONGEST = 200  # characters of an idempotency key or an identifier
MANY = "too_many_samples"


class Parsed(NamedTuple):
    """A deletion request whose body is right."""

    by: str
    received: int
    payload: Payload


def receive(
    served: ServedModel, receipts: Receipts, holder: Holder, key: str | None, body: bytes, most_per_owner: int
) -> Entry:
    """Notes a deletion in the journal; sent again with its key, it is the same one, and done again if it was undone.

    `most_per_owner` of one owner wait at most. Raises RefusedError.
    """
    if not key or len(key) > LONGEST or not key.isprintable():
        raise RefusedError(
            400,
            "missing_idempotency_key",
            f"send Idempotency-Key: up to {LONGEST} characters of your own choice, the same when a deletion is sent "
            "again, another for another deletion",
        )
    digest = hashlib.sha256(body).hexdigest()
    try:
        known = served.queue.sent_before(holder.owner, key, digest)
        if known and known.status != UNDONE:
            return known
        parsed = parse(served, receipts, holder, body)
        return served.queue.add(
            holder.owner,
            key,
            digest,
            parsed.by,
            parsed.received,
            parsed.payload,
            served.settings.most_pending,
            most_per_owner,
        )
    except KeyReusedError as error:
        raise RefusedError(422, "idempotency_key_reused", f"{error}: take another key") from error
    except QueueFullError as error:
        code = "owner_queue_full" if isinstance(error, OwnerQueueFullError) else "queue_full"
        raise RefusedError(429, code, f"{error}: send it again later", {"Retry-After": "5"}) from error


def parse(served: ServedModel, receipts: Receipts, holder: Holder, body: bytes) -> Parsed:
    """What is to be forgotten. Raises RefusedError for a wrong body, and for samples that are not the sender's."""
    request = read_json(body)
    if request.get("by") not in WAYS:
        raise invalid("wrong_field", f"by is {str(request.get('by'))[:20]!r}; expected one of {', '.join(WAYS)}")
    if request["by"] == "identifier":
        check_fields(request, ("by", "identifiers"))
        identifiers = _identifiers(request["identifiers"], served.settings.most_samples)
        rows = receipts.rows_of(holder.owner, identifiers)
        return Parsed("identifier", len(identifiers), Payload(rows=np.asarray(rows, np.int64)))
    check_fields(request, ("by", "images", "labels"), ("pixels",))
    pixels = request.get("pixels", UNIT)
    if pixels not in RANGES:
        raise invalid("wrong_pixels", f"pixels is {str(pixels)[:20]!r}; expected one of {', '.join(RANGES)}")
    images = nested_images(served.spec, request["images"], pixels, served.settings.most_samples, MANY)
    labels = class_labels(served.spec, request["labels"], len(images), receipts.train)
    if not served.settings.receipts:
        return Parsed("submission", len(images), Payload(images=images, labels=labels))
    # What is forgotten is the sample as it was handed in, not as it was submitted now.
    rows = receipts.rows_of_samples(holder.owner, Request(images, labels))
    return Parsed("submission", len(images), Payload(rows=np.asarray(rows, np.int64)))


def _identifiers(value: Any, most: int) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise invalid("wrong_identifiers", "identifiers are no list of strings, one at least")
    if len(value) > most:
        raise invalid(MANY, f"{len(value)} identifiers at once; expected at most {most}: send several requests")
    return value
