"""The runtime in the real MLServer, where that is installed: MLSERVER_PYTHON names a Python that has it, and JAX."""

import http.client
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("overunlearn_jax.server", exc_type=ImportError)

from experiments.config import Config
from experiments.requests.settings import load_splits
from experiments.run.keys import seed_keys
from experiments.victims.cache import train_or_find
from overunlearn_jax.server.core import answers
from overunlearn_jax.services.fingerprint import weights_digest
from tests.experiments import tiny

PYTHON = os.environ.get("MLSERVER_PYTHON") or (sys.executable if importlib.util.find_spec("mlserver") else "")
START = "from mlserver.cli import main; main()"


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def send(port: int, path: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET" if body is None else "POST", path, body and json.dumps(body))
    got = connection.getresponse()
    read = got.read()
    connection.close()
    return got.status, json.loads(read) if read.startswith((b"{", b"[")) else read


def infer(port: int, images: np.ndarray) -> tuple[np.ndarray, str]:
    unit = images.astype(np.float64) + 0.5
    tensor = {"name": "images", "shape": list(unit.shape), "datatype": "FP64", "data": unit.ravel().tolist()}
    status, answer = send(port, "/v2/models/tiny/infer", {"inputs": [tensor]})
    assert status == 200, answer
    [output] = answer["outputs"]
    return np.array(output["data"], np.float32).reshape(output["shape"]), answer["model_version"]


@pytest.mark.skipif(not PYTHON, reason="needs pip install mlserver, or MLSERVER_PYTHON")
def test_it_serves_and_forgets(tmp_path: Path):
    data = tiny.write_data(tmp_path / "tiny.npz")
    config = tiny.tiny_config(data, tmp_path / "work", tmp_path / "cache")
    rest, grpc, metrics = free_ports(3)
    folder = tmp_path / "model"
    folder.mkdir()
    settings = {"parallel_workers": 0, "http_port": rest, "grpc_port": grpc, "metrics_port": metrics}
    (folder / "settings.json").write_text(json.dumps({**settings, "host": "127.0.0.1"}))
    implementation = "experiments.serving.mlserver_runtime.UnlearningRuntime"
    model = {"name": "tiny", "implementation": implementation, "parameters": {"extra": config.flat()}}
    (folder / "model-settings.json").write_text(json.dumps(model))
    seed = config.run.seeds[0]
    splits = load_splits(config, seed)
    service = train_or_find(config.victim, config.service, config.run, splits, seed, seed_keys(seed).train).service
    images, labels = splits.test.images[:20], splits.train.labels[:4]
    output = open(tmp_path / "output.txt", "wb")  # noqa: SIM115  # closed with the process
    process = subprocess.Popen(
        [PYTHON, "-c", START, "start", str(folder)], env=tiny.environment(), stdout=output, stderr=subprocess.STDOUT
    )
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert process.poll() is None, (tmp_path / "output.txt").read_text()
            try:
                if send(rest, "/v2/models/tiny/ready")[0] == 200:
                    break
            except OSError:
                time.sleep(0.1)
        before, version = infer(rest, images)
        assert version == "1"
        np.testing.assert_allclose(before, answers(service.predict, images), rtol=1e-5)
        unit = splits.train.images[:4].astype(np.float64) + 0.5
        status, told = send(rest, "/forget", {"images": unit.tolist(), "labels": labels.tolist()})
        assert (status, told) == (200, {"model_version": "2", "received": 4})
        after, version = infer(rest, images)
        assert version == "2"
        with service.after([_request(splits.train.images[:4], labels)], seed_keys(seed).unlearn) as left:
            np.testing.assert_allclose(after, answers(left.predict, images), rtol=1e-4, atol=1e-6)
            assert weights_digest(left.variables) != weights_digest(service.variables)
        assert np.abs(after - before).max() > 0
        status, _ = send(rest, "/forget", {"images": [[[[7.0]]]], "labels": [0]})
        assert status >= 400
        assert infer(rest, images)[1] == "2"
    finally:
        process.terminate()
        process.wait(30)
        output.close()


def _request(images: np.ndarray, labels: np.ndarray):
    from overunlearn_jax.types import Request

    return Request(images, labels)


def test_the_settings_of_the_docstring_are_settings():
    text = (tiny.ROOT / "experiments" / "serving" / "mlserver_runtime.py").read_text()
    begin = text.index('{"name": "digits"')
    model = json.loads(text[begin : text.index("}}}", begin) + 3])
    extra = {
        name: tuple(each) if isinstance(each, list) else each for name, each in model["parameters"]["extra"].items()
    }
    assert Config.of(**extra).data.dataset == "digits"
