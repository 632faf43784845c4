"""A service of softmax regression on random images, and the plainest client."""

import contextlib
import http.client
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.defences.gate import Gate
from overunlearn_jax.server.app import make_app
from overunlearn_jax.server.core import ServedModel
from overunlearn_jax.server.forgetter import Forgotten, ServiceForgetter
from overunlearn_jax.server.logs import Log, no_log
from overunlearn_jax.server.receipts import Receipts, shared_out
from overunlearn_jax.server.running import serving
from overunlearn_jax.server.settings import ServerSettings
from overunlearn_jax.server.tokens import ADMIN, CLIENT, Holder, Tokens
from overunlearn_jax.server.worker import Worker
from overunlearn_jax.services.local import LocalService
from overunlearn_jax.types import Key, Request, Splits, Variables
from overunlearn_jax.unlearn import first_order
from tests.services.fakes import SPEC, splits
from tests.unlearn.small_model import softmax_regression

SPLITS = splits()
MODEL = softmax_regression()
TRAINED = MODEL.init(jax.random.key(0))
ALICE, BOB, BOSS = "alice-" * 4, "bob-bob-" * 3, "boss-boss-" * 3
HOLDERS = {ALICE: Holder("alice", CLIENT), BOB: Holder("bob", CLIENT), BOSS: Holder("boss", ADMIN)}
RECEIPTS = Receipts(SPLITS.train, shared_out(len(SPLITS.train.labels), ("alice", "bob")), SPEC.bounds)


def first_order_forgetter(tau: float = 0.05) -> ServiceForgetter:
    method = first_order(tau, bounds=SPEC.bounds, scope="all")

    def make(variables: Variables, held: Splits) -> LocalService:
        return LocalService(SPEC, MODEL, variables, method, train=held.train, gives_retained=False)

    return ServiceForgetter(SPLITS, make)


class Gated:
    """A forgetter that begins when the test says so."""

    def __init__(self) -> None:
        self.go, self.begun, self.calls = threading.Event(), threading.Event(), 0
        self._inner = first_order_forgetter()

    def __call__(self, variables: Variables, forgotten: frozenset[int], request: Request, key: Key) -> Forgotten:
        self.calls += 1
        self.begun.set()
        assert self.go.wait(20)
        return self._inner(variables, forgotten, request, key)


class Answer(NamedTuple):
    status: int
    body: Any
    headers: http.client.HTTPMessage

    @property
    def code(self) -> str:
        return self.body["error"]["code"]


class Client:
    """Sends JSON and reads JSON."""

    def __init__(self, url: str, token: str = ALICE):
        self.url, self.token = url, token
        self.answers: list[tuple[str, str, Answer]] = []

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.url).netloc, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, data, sent)
            got = connection.getresponse()
            raw = got.read()
        parsed = json.loads(raw) if got.headers.get_content_type() == "application/json" else raw.decode()
        answer = Answer(got.status, parsed, got.headers)
        self.answers.append((method, path, answer))
        return answer

    def infer(self, images: np.ndarray, path: str = "/v2/models/model/infer", datatype: str = "FP64") -> Answer:
        return self.send("POST", path, infer_body(images, datatype))

    def probabilities(self, images: np.ndarray) -> tuple[np.ndarray, str]:
        answer = self.infer(images)
        assert answer.status == 200, answer.body
        [output] = answer.body["outputs"]
        return np.array(output["data"], np.float32).reshape(output["shape"]), answer.headers["model-version"]

    def delete(self, body: Any, key: str = "a key") -> Answer:
        return self.send("POST", "/deletions", body, Idempotency_Key=key)

    def wait(self, deletion: str) -> dict[str, Any]:
        for _ in range(2000):
            answer = self.send("GET", f"/deletions/{deletion}")
            assert answer.status == 200, answer.body
            if answer.body["status"] not in ("pending", "in_progress"):
                return answer.body
            time.sleep(0.01)
        raise AssertionError("the deletion does not end")


class Running(NamedTuple):
    client: Client
    served: ServedModel
    folder: Path

    def as_(self, token: str) -> Client:
        return Client(self.client.url, token)

    def refusals(self) -> list[tuple[str, str]]:
        return [(row["request"], row["code"]) for row in self.served.journal.rows("SELECT * FROM refusals")]


def unit(images: np.ndarray) -> np.ndarray:
    """As they are sent."""
    return images.astype(np.float64) - SPEC.bounds.lower


def infer_body(images: np.ndarray, datatype: str = "FP64") -> dict[str, Any]:
    data = np.rint(255 * unit(images)).astype(int) if datatype == "UINT8" else unit(images)
    tensor = {"name": "images", "shape": list(images.shape), "datatype": datatype, "data": data.ravel().tolist()}
    return {"inputs": [tensor]}


def submission(images: np.ndarray, labels: np.ndarray, **more: Any) -> dict[str, Any]:
    return {"by": "submission", "images": unit(images).tolist(), "labels": np.asarray(labels).tolist(), **more}


def opened(folder: Path, settings: ServerSettings = ServerSettings(), **more: Any) -> ServedModel:  # noqa: B008
    return ServedModel(SPEC, MODEL, TRAINED, folder, settings, **more)


@contextmanager
def running(
    folder: Path,
    settings: ServerSettings = ServerSettings(),  # noqa: B008
    forget: Any = None,
    gates: Sequence[Gate] = (),
    log: Log = no_log,
    receipts: Receipts = RECEIPTS,
) -> Iterator[Running]:
    served = opened(folder, settings, log=log)
    worker = Worker(
        served, SPLITS.train, forget or first_order_forgetter(), key=jax.random.key(1), gates=gates, log=log
    )
    try:
        with serving(make_app(served, worker, receipts, Tokens(HOLDERS), log=log)) as url:
            yield Running(Client(url), served, folder)
    finally:
        served.close()


def step(variables: Variables, images: np.ndarray, labels: np.ndarray, tau: float = 0.05) -> Variables:
    """One step of gradient ascent by hand, in NumPy."""
    flat, kernel = (
        images.reshape(len(images), -1).astype(np.float64),
        np.asarray(variables.params["kernel"], np.float64),
    )
    logits = flat @ kernel
    weights = np.exp(logits - logits.max(1, keepdims=True))
    wrong = weights / weights.sum(1, keepdims=True) - np.eye(kernel.shape[1])[labels]
    return Variables({"kernel": jnp.asarray(kernel + tau * flat.T @ wrong, jnp.float32)}, ())
