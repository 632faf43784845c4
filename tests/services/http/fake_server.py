"""A model server in the standard library: the dialects, deletion by `schema.md`, and the ways in which servers fail.

Each dialect has its route in `_route`.
"""

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.special

from overunlearn_jax.types import Bounds, DatasetSpec
from tests.unlearn.small_model import BOUNDS, CLASSES, IMAGE_SHAPE

SPEC = DatasetSpec("served", IMAGE_SHAPE, Bounds(*BOUNDS), tuple("abcd"))
TOKEN = "very-secret-token-0123"
Answer = tuple[int, Any, dict[str, str]]


class Model:
    """Softmax regression on unit pixels, as in `tests.services.fakes`, that forgets in place."""

    def __init__(self, weights: np.ndarray | None = None) -> None:
        drawn = np.random.default_rng(0).normal(size=(int(np.prod(IMAGE_SHAPE)), CLASSES))
        self.weights = drawn if weights is None else weights.copy()
        self.deployed = self.weights.copy()

    def predict(self, unit: np.ndarray) -> np.ndarray:
        flat = np.asarray(unit, np.float64).reshape(len(unit), -1) - 0.5
        return scipy.special.softmax(3 * flat @ self.weights, axis=-1)

    def forget(self, unit: np.ndarray, labels: np.ndarray) -> None:
        flat = np.asarray(unit, np.float64).reshape(len(unit), -1) - 0.5
        self.weights = self.weights + 0.1 * flat.T @ (self.predict(unit) - np.eye(self.weights.shape[1])[labels])

    def reset(self) -> None:
        self.weights = self.deployed.copy()


class State:
    """What the server holds; tests read `received` and set `trouble`."""

    def __init__(self, classes: tuple[str, ...], weights: np.ndarray | None) -> None:
        self.model, self.token, self.classes = Model(weights), "", classes
        self.received: list[tuple[str, str, dict[str, str]]] = []  # method, path, headers
        self.images = 0
        self.trouble: list[Callable[[], Answer | None]] = []  # asked, one a request, before anything else
        self.inputs: list[dict[str, Any]] = []  # of the metadata
        self.respond: Callable[[np.ndarray], Any] | None = None  # probabilities to what is answered in their place
        self.deletions: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, str] = {}
        self.snapshots: dict[str, np.ndarray] = {}
        self.polls = 1  # looks until a deletion is over
        self.fails = ""  # the error of every deletion
        self.lock = threading.Lock()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client has read enough
            super().handle()

    def do_GET(self) -> None:
        self._answer(b"")

    def do_DELETE(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, body: bytes) -> None:
        state = self.state
        with state.lock:
            state.received.append((self.command, self.path, dict(self.headers)))
            trouble = state.trouble.pop(0)() if state.trouble else None
            if trouble is None and state.token and self.headers.get("Authorization") != f"Bearer {state.token}":
                given = self.headers.get("Authorization")
                trouble = 401, {"error": {"code": "wrong_token", "message": f"not {given}"}}, {}
            status, answered, headers = trouble or _route(state, self.command, self.path, body, self.headers)
        if status == 0:  # the connection breaks
            self.close_connection = True
            return
        content = answered if isinstance(answered, bytes) else json.dumps(answered).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _route(state: State, method: str, path: str, body: bytes, headers: Any) -> Answer:
    parsed = None
    if headers.get("Content-Type") == "application/json":
        parsed = json.loads(body)
    match method, path.strip("/").split("/"):
        case "GET", ["v2", "models", "m"]:
            return 200, {"name": "m", "platform": "none", "inputs": state.inputs, "outputs": []}, {}
        case "POST", ["v2", "models", "m", "infer"]:
            one = parsed["inputs"][0]
            pixels = np.array(one["data"]).reshape(one["shape"])
            return 200, _v2(state, _predicted(state, _unit(one, pixels)), parsed), {}
        case "GET", ["v1", "models", "m"]:
            return 200, {"model_version_status": [{"state": "AVAILABLE"}]}, {}
        case "POST", ["v1", "models", "m:predict"]:
            rows = parsed.get("instances", parsed.get("inputs"))
            name = "predictions" if "instances" in parsed else "outputs"
            return 200, {name: _shown(state, _predicted(state, np.array(rows)))}, {}
        case "POST", ["invocations"]:
            rows = parsed["dataframe_split"]["data"] if "dataframe_split" in parsed else next(iter(parsed.values()))
            return 200, {"predictions": _shown(state, _predicted(state, np.array(rows)))}, {}
        case "POST", ["score"]:  # the example of dialects/own.py
            rows = _shown(state, _predicted(state, np.array(parsed["pictures"])))
            named = [
                [{"name": name, "confidence": p} for name, p in zip(state.classes, row, strict=True)] for row in rows
            ]
            return 200, {"results": named}, {}
        case "POST", ["image"]:
            import io

            from PIL import Image

            pixels = np.asarray(Image.open(io.BytesIO(body)), np.float64)[None, ..., None] / 255
            scores = _predicted(state, pixels)[0]
            best = np.argsort(-scores)[:2]
            return 200, [{"label": state.classes[at], "score": float(scores[at])} for at in best], {}
        case "POST", ["deletions"]:
            return _delete(state, parsed, headers["Idempotency-Key"])
        case "GET", ["deletions", identity] if identity in state.deletions:
            return 200, _look(state, identity), {}
        case "DELETE", ["deletions", identity] if identity in state.deletions:
            state.deletions[identity]["status"] = "cancelled"
            return 200, state.deletions[identity], {}
        case "POST", ["snapshots"]:
            identity = f"s-{len(state.snapshots)}"
            state.snapshots[identity] = state.model.weights.copy()
            return 200, {"id": identity}, {}
        case "POST", ["snapshots", identity, "restore"] if identity in state.snapshots:
            state.model.weights = state.snapshots[identity].copy()
            return 200, {"model_version": identity}, {}
    return 404, {"error": {"code": "not_found", "message": f"nothing at {path}"}}, {}


def _unit(one: dict[str, Any], pixels: np.ndarray) -> np.ndarray:
    return pixels / 255 if one["datatype"] == "UINT8" else pixels


def _predicted(state: State, unit: np.ndarray) -> np.ndarray:
    state.images += len(unit)
    return state.model.predict(unit)


def _shown(state: State, probabilities: np.ndarray) -> Any:
    return state.respond(probabilities) if state.respond else probabilities.tolist()


def _v2(state: State, probabilities: np.ndarray, asked: dict[str, Any]) -> dict[str, Any]:
    answered = np.array(_shown(state, probabilities))
    labels = {"name": "predict", "shape": [len(answered), 1], "datatype": "INT64"}
    labels["data"] = probabilities.argmax(-1).tolist()
    scores = {"name": "predict_proba", "shape": list(answered.shape), "datatype": "FP64"}
    scores["data"] = answered.reshape(-1).tolist()
    names = [each["name"] for each in asked.get("outputs", [{"name": "predict"}])]
    return {"model_name": "m", "outputs": [each for each in (labels, scores) if each["name"] in names]}


def _delete(state: State, body: dict[str, Any], key: str) -> Answer:
    if key not in state.keys:
        identity = state.keys[key] = f"d-{len(state.deletions)}"
        state.deletions[identity] = {
            "id": identity,
            "status": "pending",
            "model_version": None,
            "body": body,
            "seen": 0,
        }
    identity = state.keys[key]
    received = len(body.get("labels", body.get("identifiers", [])))
    return 202, {"id": identity, "status": "pending", "model_version": None, "received": received}, {}


def _look(state: State, identity: str) -> dict[str, Any]:
    one = state.deletions[identity]
    one["seen"] += 1
    if one["status"] == "pending" and one["seen"] >= state.polls:
        one["status"] = "failed" if state.fails else "completed"
        if not state.fails:
            body = one["body"]
            pixels = np.array(body["images"]) / (255 if body.get("pixels") == "uint8" else 1)
            state.model.forget(pixels, np.array(body["labels"]))
    return {"error": state.fails or None, **{name: one[name] for name in ("id", "status", "model_version")}}


@contextmanager
def served(
    classes: tuple[str, ...] = SPEC.class_names, weights: np.ndarray | None = None
) -> Iterator[tuple[str, State]]:
    """The server's URL and what it holds, for as long as the block lasts."""
    handler = type("Handler", (_Handler,), {"state": State(classes, weights)})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", handler.state
        finally:
            server.shutdown()
            thread.join()
