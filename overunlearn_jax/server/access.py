"""Around every request: a line in the log, its numbers in the metrics, and a JSON error for whatever goes wrong."""

import secrets
import sqlite3
import time
import traceback
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple, Unpack

import anyio.to_thread
import orjson
from anyio import CapacityLimiter
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from overunlearn_jax.server.logs import Log
from overunlearn_jax.server.queue import STATUSES
from overunlearn_jax.server.refusals import RefusedError

QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


Arguments = TypeVarTuple("Arguments")
Answer = TypeVar("Answer")


class Metrics:
    """Numbers of one service, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "http_requests", "Requests that were answered", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "http_request_seconds", "Seconds until an answer", ["route"], buckets=QUICK, registry=self.registry
        )
        self.images = Counter("predicted_images", "Images that were answered", registry=self.registry)
        self.version = Gauge("model_version", "Version of the model that answers", registry=self.registry)
        self.deletions = Gauge("deletions", "Deletions in the journal", ["status"], registry=self.registry)

    def set_deletions(self, counts: dict[str, int]) -> None:
        """How many there are of each status."""
        for status in STATUSES:
            self.deletions.labels(status).set(counts[status])


class Access:
    """ASGI middleware; routes put what they know of a request into `scope["noted"]`: route, owner, images, version."""

    def __init__(self, app: ASGIApp, metrics: Metrics, log: Log):
        self._app, self._metrics, self._log = app, metrics, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        noted = scope["noted"] = {"request_id": secrets.token_hex(8), "route": "none"}
        began, status = time.perf_counter(), 0

        async def note_and_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", noted["request_id"].encode())]
            await send(message)

        try:
            await self._app(scope, receive, note_and_send)
        except Exception as error:
            self._log("error", request_id=noted["request_id"], error=repr(error)[:500], trace=traceback.format_exc())
            if not status:
                await answer(note_and_send, RefusedError(500, "internal", "the service failed; its log says why"))
        finally:
            seconds = time.perf_counter() - began
            self._metrics.requests.labels(noted["route"], str(status)).inc()
            self._metrics.seconds.labels(noted["route"]).observe(seconds)
            self._log(
                "request",
                method=scope["method"],
                path=scope["path"][:200],
                status=status,
                ms=round(1000 * seconds, 3),
                **noted,
            )


async def answer(send: Send, problem: RefusedError) -> None:
    """Sends an error body."""
    body = orjson.dumps(problem.body())
    headers = {"content-type": "application/json", "content-length": str(len(body))} | problem.headers
    raw = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def in_thread(
    call: Callable[[Unpack[Arguments]], Answer], *arguments: *Arguments, limiter: CapacityLimiter | None = None
) -> Answer:
    """Runs a call that may block outside the event loop; a journal that refuses is RefusedError 503."""
    try:
        return await anyio.to_thread.run_sync(call, *arguments, limiter=limiter)
    except sqlite3.Error as error:
        raise RefusedError(
            503,
            "journal_unavailable",
            f"the journal cannot be written ({error}): nothing was changed",
            {"Retry-After": "5"},
        ) from error
