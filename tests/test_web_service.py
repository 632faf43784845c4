"""A prediction service behind HTTP is a victim like any other: the attack sees what it answers and nothing else."""

import http.server
import json
import threading
import urllib.request

import jax
import numpy as np
import pytest

from overunlearn_jax.attacks import ZooSettings, push
from overunlearn_jax.black_box import BadAnswerError, BlackBox
from overunlearn_jax.types import Bounds, DatasetSpec

SPEC = DatasetSpec("service", (4, 4, 1), Bounds(-0.5, 0.5), ("a", "b", "c"))
WEIGHTS = np.random.default_rng(0).normal(size=(16, 3))


class _Handler(http.server.BaseHTTPRequestHandler):
    received = 0

    def do_POST(self):
        images = np.array(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        type(self).received += len(images)
        logits = images.reshape(len(images), -1) @ WEIGHTS
        weights = np.exp(logits - logits.max(1, keepdims=True))
        answer = weights / weights.sum(1, keepdims=True) if self.path == "/predict" else logits
        body = json.dumps(answer.tolist()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def address():
    _Handler.received = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _client(url):
    def predict(images):
        request = urllib.request.Request(url, json.dumps(images.tolist()).encode())
        with urllib.request.urlopen(request) as answer:
            return np.array(json.load(answer))

    return predict


def test_pushes_through_http_and_counts_what_the_service_received(address):
    service = BlackBox(SPEC, _client(f"{address}/predict"), batch_size=64)
    images = np.random.default_rng(1).uniform(-0.4, 0.4, (3, 4, 4, 1)).astype(np.float32)
    labels = service.query(images).argmax(-1)
    settings = ZooSettings(SPEC.bounds, coordinates=8, step_size=0.05, max_steps=300)
    pushed = push(service, images, labels, settings, jax.random.key(0), slots=2)
    assert pushed.crossed.all()
    assert service.queries == _Handler.received == 3 + pushed.queries.sum()
    assert (service.query(pushed.inside).argmax(-1) == labels).all()
    assert (service.query(pushed.outside).argmax(-1) != labels).all()


def test_a_service_that_answers_logits_is_told_so(address):
    with pytest.raises(BadAnswerError, match="softmax"):
        BlackBox(SPEC, _client(f"{address}/logits")).query(np.zeros((1, 4, 4, 1), np.float32))
