"""Deletion over HTTP, the client's half of `schema.md`: asked for, polled until it is over, cancelled."""

import contextlib
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from overunlearn_jax.services.http.client import HttpClient
from overunlearn_jax.services.http.errors import RefusedError, UnavailableError, shortened
from overunlearn_jax.types import Bounds, DeletionRefusedError, DivergedError

PATH = "/deletions"
OPEN, COMPLETED, CANCELLED, FAILED = ("pending", "in_progress"), "completed", "cancelled", "failed"
UNDONE = "undone"
STATUSES = (*OPEN, COMPLETED, CANCELLED, FAILED, UNDONE)


class DeletionState(NamedTuple):
    """What the service says of one deletion."""

    id: str
    status: str  # one of STATUSES
    model_version: str | None = None  # that answers without the samples; None while there is none
    error: str | None = None  # why it failed
    matched: int | None = None  # samples found in the training data; None: nobody looked
    seconds: float | None = None  # that forgetting took; None: nobody measured


class DeletionBody(Protocol):
    """How a service wants samples named: `BySubmission`, `ByIdentifier`, or what a user's service has."""

    def __call__(self, images: np.ndarray, labels: np.ndarray, bounds: Bounds) -> dict[str, Any]:
        """The JSON body for images (n, h, w, c), float32, and labels (n,), int64."""


class BySubmission:
    """The samples themselves, as in the paper: images in [0, 1], or as bytes, and their labels."""

    def __init__(self, *, eight_bit: bool = False):
        self._eight_bit = eight_bit

    def __call__(self, images: np.ndarray, labels: np.ndarray, bounds: Bounds) -> dict[str, Any]:
        """See `DeletionBody`; float32 pixels arrive with all their digits."""
        unit = (images.astype(np.float64) - bounds.lower) / (bounds.upper - bounds.lower)
        body = {"by": "submission", "labels": labels.tolist()}
        if self._eight_bit:
            pixels = np.rint(255 * np.clip(unit, 0, 1)).astype(np.uint8)
            return {**body, "pixels": "uint8", "images": pixels.tolist()}
        return {**body, "images": np.clip(unit, 0, 1).tolist()}


class ByIdentifier:
    """Names of stored samples, as OpenDSR has it. A changed image has no name of its own: nothing malicious fits in.

    Args:
      identifiers_of: images (n, h, w, c) and labels (n,) to n names.
    """

    def __init__(self, identifiers_of: Callable[[np.ndarray, np.ndarray], Sequence[str]]):
        self._identifiers_of = identifiers_of

    def __call__(self, images: np.ndarray, labels: np.ndarray, bounds: Bounds) -> dict[str, Any]:
        """See `DeletionBody`. Raises ValueError for another number of names than of images."""
        del bounds  # Unused: no pixel is sent.
        names = [str(name) for name in self._identifiers_of(images, labels)]
        if len(names) != len(images):
            raise ValueError(f"{len(names)} identifiers for {len(images)} images; expected one each")
        return {"by": "identifier", "identifiers": names}


SAMPLES_REFUSED = "samples refused"  # in the error of a deletion that the service declined, see the schema


class Polling(NamedTuple):
    """How long a deletion is waited for."""

    first: float = 0.05  # seconds before the first look; twice as long each time ...
    most: float = 2.0  # ... up to this
    longest: float = 3600.0  # seconds in all, after which the deletion is cancelled and given up


POLLING = Polling()


def request_deletion(
    client: HttpClient, body: dict[str, Any], *, key: str = "", path: str = PATH, images: int = 0
) -> DeletionState:
    """Asks for a deletion; a repeated request with the same `key` is the same deletion. Returns its first state."""
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    return _state(client.post_json(path, body, headers=headers, images=images), path)


def look(client: HttpClient, identity: str, *, path: str = PATH) -> DeletionState:
    """The deletion as it stands."""
    return _state(client.get_json(f"{path}/{identity}"), path)


def cancel(client: HttpClient, identity: str, *, path: str = PATH) -> None:
    """Cancels a deletion that is pending. Raises RefusedError, status 409, where it is not any more."""
    client.call("DELETE", f"{path}/{identity}")


def delete(
    client: HttpClient, body: dict[str, Any], *, polling: Polling = POLLING, path: str = PATH, images: int = 0
) -> DeletionState:
    """Asks for a deletion and waits until it is completed.

    Raises:
      DivergedError: it failed, and the service says that its method diverged.
      DeletionRefusedError: it failed, and the service says that it refused the samples.
      RefusedError: it was not accepted, cancelled, undone by a restore, or failed for another reason.
      UnavailableError: no answer, or none of a final state within `polling.longest`: it is cancelled, if it can be.
    """
    state, began, pause = request_deletion(client, body, path=path, images=images), time.monotonic(), polling.first
    while state.status in OPEN:
        if time.monotonic() - began > polling.longest:
            _try_to_cancel(client, state.id, path)
            raise UnavailableError(
                f"deletion {state.id} is still {state.status} after {polling.longest:,.0f} s: raise "
                "--deletion_timeout, or see what the service is doing"
            )
        time.sleep(pause)
        pause = min(polling.most, 2 * pause)
        state = look(client, state.id, path=path)
    if state.status == COMPLETED:
        return state
    if state.status == FAILED and "diverged" in (state.error or "").lower():
        raise DivergedError(state.error or "")
    if state.status == FAILED and SAMPLES_REFUSED in (state.error or "").lower():
        raise DeletionRefusedError(state.error or "")
    if state.status == UNDONE:
        raise RefusedError(
            f"deletion {state.id} was completed and then undone, because somebody restored a snapshot: nothing is "
            "forgotten; see who else restores snapshots of this service, and send it again"
        )
    raise RefusedError(f"deletion {state.id} ended as {state.status}: {state.error or 'the service does not say why'}")


def _try_to_cancel(client: HttpClient, identity: str, path: str) -> None:
    with contextlib.suppress(RefusedError, UnavailableError):  # it has begun; what follows says that it is not over
        cancel(client, identity, path=path)


def _state(body: Any, path: str) -> DeletionState:
    if not isinstance(body, dict) or not body.get("id") or body.get("status") not in STATUSES:
        raise RefusedError(
            f"{path} answered {shortened(str(body))!r}; expected an id and a status of {', '.join(STATUSES)}: "
            "overunlearn_jax/services/http/schema.md has the schema"
        )
    version = body.get("model_version")
    return DeletionState(
        str(body["id"]),
        body["status"],
        None if version is None else str(version),
        body.get("error"),
        body.get("matched"),
        body.get("seconds"),
    )
