"""The service as an ASGI application: who may ask what, and where it goes.

app = make_app(served, worker, receipts, Tokens(holders), log=JsonLines(sys.stderr))
"""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from overunlearn_jax.server import inference
from overunlearn_jax.server.access import Access, Metrics, in_thread
from overunlearn_jax.server.bodies import read_body
from overunlearn_jax.server.core import ServedModel
from overunlearn_jax.server.lineage import UnknownVersionError
from overunlearn_jax.server.logs import Log, no_log
from overunlearn_jax.server.openapi import openapi_document
from overunlearn_jax.server.queue import CANCELLED, Entry
from overunlearn_jax.server.receipts import Receipts, identifier_of
from overunlearn_jax.server.refusals import RefusedError
from overunlearn_jax.server.requests import receive
from overunlearn_jax.server.routes import as_json, route
from overunlearn_jax.server.tokens import ADMIN, Holder, Tokens
from overunlearn_jax.server.versions import DamagedVersionError
from overunlearn_jax.server.worker import Worker

PREDICTING = 2  # predictions that are computed at once; XLA shares the cores out among them


def make_app(served: ServedModel, worker: Worker, receipts: Receipts, tokens: Tokens, *, log: Log = no_log) -> ASGIApp:
    """The application. Its lifespan starts the worker, and ends it as gently as `settings.stop_seconds` allows."""
    routes = _Routes(served, worker, receipts, tokens, log)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app  # Unused: all that it needs is here.
        worker.start()
        routes.ready = True
        yield
        routes.ready = False
        ended = await anyio.to_thread.run_sync(worker.stop, served.settings.stop_seconds)
        log("stopped", deletion_left_in_the_journal=not ended)

    handlers: dict[Any, Any] = {RefusedError: routes.on_refused, HTTPException: routes.on_http_error}
    return Starlette(
        routes=routes.table(),
        lifespan=lifespan,
        middleware=[Middleware(Access, metrics=routes.metrics, log=log)],
        exception_handlers=handlers,
    )


class _Routes:
    def __init__(self, served: ServedModel, worker: Worker, receipts: Receipts, tokens: Tokens, log: Log):
        self._served, self._worker, self._receipts, self._tokens = served, worker, receipts, tokens
        self._log, self.metrics, self.ready = log, Metrics(), False
        self._predicting = anyio.CapacityLimiter(PREDICTING)
        self._waiting = 0  # requests whose bodies are in memory
        settings = served.settings
        self._most_per_owner = settings.most_pending_per_owner or max(1, settings.most_pending // tokens.owners)
        self._schema = orjson.dumps(openapi_document(served.spec, served.settings))

    def table(self) -> list[Route]:
        model = f"/v2/models/{self._served.settings.model_name}"
        older = f"/v1/models/{self._served.settings.model_name}"
        return [
            route("/v2", GET=self._server),
            route("/v2/health/live", GET=self._live),
            route("/v2/health/ready", GET=self._is_ready),
            route(model, GET=self._model),
            route(f"{model}/ready", GET=self._is_ready),
            route(f"{model}/infer", POST=self._infer),
            route(f"{model}/versions/{{version}}", GET=self._model),
            route(f"{model}/versions/{{version}}/ready", GET=self._is_ready),
            route(f"{model}/versions/{{version}}/infer", POST=self._infer),
            route(f"{older}:predict", POST=self._predict),
            route("/deletions", POST=self._delete),
            route("/deletions/{id}", GET=self._status, DELETE=self._cancel),
            route("/receipts", GET=self._own_receipts),
            route("/snapshots", POST=self._snapshot),
            route("/snapshots/{id}/restore", POST=self._restore),
            route("/metrics", GET=self._metrics_text),
            route("/openapi.json", GET=self._openapi),
        ]

    async def _server(self, request: Request) -> Response:
        return as_json(inference.server_metadata())

    async def _live(self, request: Request) -> Response:
        return as_json({"live": True})

    async def _is_ready(self, request: Request) -> Response:
        self._check_version(request)
        ready = self.ready and self._worker.is_alive
        return as_json({"ready": ready}, 200 if ready else 503)

    async def _model(self, request: Request) -> Response:
        self._check_version(request)
        return as_json(inference.model_metadata(self._served))

    async def _infer(self, request: Request) -> Response:
        version = request.path_params.get("version")
        return await self._answer(request, lambda body: inference.infer(self._served, body, version))

    async def _predict(self, request: Request) -> Response:
        return await self._answer(request, lambda body: inference.predict(self._served, body))

    async def _answer(self, request: Request, call: Callable[[bytes], inference.Answered]) -> Response:
        settings = self._served.settings
        if not settings.open_predictions:
            self._holder(request)
        self._check_version(request)
        with self._room():
            body = await read_body(request, settings.most_body, settings.body_seconds)
            answered = await in_thread(call, body, limiter=self._predicting)
        request.scope["noted"] |= {"images": answered.images, "model_version": str(answered.version)}
        self.metrics.images.inc(answered.images)
        return Response(answered.body, 200, {"model-version": str(answered.version)}, "application/json")

    async def _delete(self, request: Request) -> Response:
        holder, settings = self._holder(request), self._served.settings
        with self._room():
            body = await read_body(request, settings.most_body, settings.body_seconds)
            key = request.headers.get("idempotency-key")
            entry: Entry = await in_thread(
                receive, self._served, self._receipts, holder, key, body, self._most_per_owner
            )
        self._worker.wake()
        request.scope["noted"]["deletion"] = entry.id
        version = None if entry.model_version is None else str(entry.model_version)
        told = {"id": entry.id, "status": entry.status, "model_version": version, "received": entry.received}
        return as_json(told, 202, {"Location": f"/deletions/{entry.id}"})

    async def _status(self, request: Request) -> Response:
        holder = self._holder(request)
        return as_json(
            _found(await in_thread(self._served.queue.entry, request.path_params["id"], holder.owner)).body()
        )

    async def _cancel(self, request: Request) -> Response:
        holder = self._holder(request)
        entry = _found(await in_thread(self._served.queue.cancel, request.path_params["id"], holder.owner))
        if entry.status != CANCELLED:
            raise RefusedError(409, "not_pending", f"it is {entry.status}: only a deletion that waits can be cancelled")
        return as_json(entry.body())

    async def _own_receipts(self, request: Request) -> Response:
        holder = self._holder(request)
        train = self._receipts.train
        own = [
            {"identifier": identifier_of(int(train.ids[row])), "label": int(train.labels[row])}
            for row in self._receipts.of_owner(holder.owner)
        ]
        return as_json({"receipts": own})

    async def _snapshot(self, request: Request) -> Response:
        self._holder(request, ADMIN)
        return as_json({"id": await in_thread(self._served.lineage.take_snapshot)}, 201)

    async def _restore(self, request: Request) -> Response:
        self._holder(request, ADMIN)
        try:
            version = await in_thread(self._served.restore, request.path_params["id"])
        except UnknownVersionError as error:
            raise RefusedError(404, "unknown_snapshot", "there is no such snapshot") from error
        except DamagedVersionError as error:
            self._log("damaged", error=str(error))
            raise RefusedError(500, "damaged_version", "the snapshot's file is damaged; the log names it") from error
        self._worker.wake()
        return as_json({"model_version": str(version)})

    async def _metrics_text(self, request: Request) -> Response:
        self.metrics.version.set(self._served.served.version.number)
        self.metrics.set_deletions(await in_thread(self._served.queue.counts))
        return Response(generate_latest(self.metrics.registry), 200, None, CONTENT_TYPE_LATEST)

    async def _openapi(self, request: Request) -> Response:
        return Response(self._schema, 200, None, "application/json")

    def _holder(self, request: Request, role: str = "") -> Holder:
        holder = self._tokens.holder(request.headers.get("authorization"))
        request.scope["noted"]["owner"] = holder.owner
        if role and holder.role != role:
            raise RefusedError(403, "forbidden", f"this takes a token of the role {role}")
        return holder

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        """Around a request with a body: as many as may are read and worked on at once, which bounds their memory."""
        if self._waiting >= self._served.settings.most_bodies:
            raise RefusedError(503, "overloaded", "too many requests wait: send it again later", {"Retry-After": "1"})
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    def _check_version(self, request: Request) -> None:
        asked = request.path_params.get("version")
        if asked not in (None, str(self._served.served.version.number)):
            raise inference.unknown_version(self._served, str(asked))

    async def on_refused(self, request: Request, problem: RefusedError) -> Response:
        """An error body; a deletion or a snapshot that is refused to the owner of a token is noted in the journal.

        What comes without a token costs the journal nothing: it is a line in the log, and counted in the metrics.
        """
        noted = request.scope["noted"]
        noted["code"] = problem.code
        if "owner" in noted and request.url.path.startswith(("/deletions", "/snapshots")):
            what = f"{request.method} {request.url.path}"
            with contextlib.suppress(sqlite3.Error, RefusedError):  # the journal itself may be what refuses
                await in_thread(
                    self._served.journal.note_refusal,
                    noted["owner"],
                    what,
                    problem.status,
                    problem.code,
                    problem.message,
                )
        return as_json(problem.body(), problem.status, problem.headers)

    async def on_http_error(self, request: Request, error: HTTPException) -> Response:
        """Starlette's own: a path that is none, or a method that it does not have."""
        codes = {404: "no_such_path", 405: "wrong_method"}
        problem = RefusedError(
            error.status_code, codes.get(error.status_code, "refused"), str(error.detail), dict(error.headers or {})
        )
        return await self.on_refused(request, problem)


def _found(entry: Entry | None) -> Entry:
    if entry is None:
        raise RefusedError(404, "unknown_deletion", "this token has no such deletion")
    return entry
