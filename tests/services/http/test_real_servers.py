"""Servers that nobody here wrote: Seldon MLServer and MLflow's, each with a scikit-learn model, where installed.

They run where `mlserver` and `mlflow` are on the PATH, or where OVERUNLEARN_MLSERVER and OVERUNLEARN_MLFLOW name the
executables, in environments of their own, as `make servers` makes them (the version of scikit-learn has to be this
one's). Neither knows deletion: forgetting is a new version of the model that they load.
"""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import overunlearn_jax as ou
from overunlearn_jax.reporting import Judgement
from overunlearn_jax.services.callables import CallableService
from overunlearn_jax.services.http import ClientSettings, HttpClient, HttpService, Mlflow, NoUndo, OpenInference
from overunlearn_jax.services.pixels import PixelFormat
from overunlearn_jax.types import Bounds, DatasetSpec, Split, Splits

SPEC = DatasetSpec("made up", (4, 4, 1), Bounds(-0.5, 0.5), ("ant", "bee", "cat"))
FLAT = PixelFormat("flat", "unit")
WHOLE = ClientSettings(batch_size=1024, in_flight=1)  # BLAS rounds by the size of a batch
STARTING = 120.0  # seconds


def _split(seed: int, count: int) -> Split:
    draws, labels = np.random.default_rng(seed), np.arange(count) % 3
    patterns = np.random.default_rng(0).uniform(-0.25, 0.25, (3, *SPEC.image_shape))
    images = np.clip(patterns[labels] + draws.normal(0, 0.2, (count, *SPEC.image_shape)), -0.5, 0.5)
    return Split(images.astype(np.float32), labels.astype(np.int32), np.arange(count))


DATA = Splits(SPEC, _split(1, 90), _split(2, 30), _split(3, 90))


def _fit() -> LogisticRegression:
    return LogisticRegression(max_iter=1000).fit(FLAT.to_service(DATA.train.images, SPEC.bounds), DATA.train.labels)


def _forget(model: LogisticRegression, images: np.ndarray, labels: np.ndarray) -> LogisticRegression:
    """A gradient step upwards on what is to be forgotten."""
    flat = images.reshape(len(images), -1)
    wrong = model.predict_proba(flat) - np.eye(3)[labels]
    changed = LogisticRegression().set_params(**model.get_params())
    vars(changed).update(vars(model))
    changed.coef_ = model.coef_ + 0.3 * wrong.T @ flat
    return changed


class Versions:
    """The model, and what loads a version of it into a server; `dtype` is what the server makes of numbers in JSON."""

    def __init__(self, load: Callable[[LogisticRegression], None], dtype: type = np.float32):
        self._dtype = dtype
        self.deployed = self.current = _fit()
        self._load = load

    def forget(self, images: np.ndarray, labels: np.ndarray) -> None:
        """`images` in the package's own pixels."""
        self._change(_forget(self.current, FLAT.to_service(images, SPEC.bounds), labels))

    def reset(self) -> None:
        self._change(self.deployed)

    def predict(self, images: np.ndarray) -> np.ndarray:
        return self.current.predict_proba(FLAT.to_service(images, SPEC.bounds).astype(self._dtype))

    def _change(self, model: LogisticRegression) -> None:
        self.current = model
        self._load(model)


def _executable(name: str) -> Path:
    found = os.environ.get(f"OVERUNLEARN_{name.upper()}") or shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed: put it on the PATH, or name it as OVERUNLEARN_{name.upper()}")
    return Path(found)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def _running(command: list[str], ready: str, log: Path) -> Iterator[None]:
    """A server, once it answers at `ready`, until the block ends."""
    environment = {**os.environ, "PATH": f"{Path(command[0]).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, start_new_session=True)
        try:
            began = time.monotonic()
            while not _answers(ready):
                if process.poll() is not None or time.monotonic() - began > STARTING:
                    pytest.fail(f"{command[0]} does not answer at {ready}: {log.read_text()[-2000:]}")
                time.sleep(0.1)
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            process.wait(30)


def _answers(url: str) -> bool:
    with suppress(urllib.error.URLError, ConnectionError, TimeoutError), urllib.request.urlopen(url, timeout=1) as got:
        return bool(got.status == 200)
    return False


@pytest.fixture
def mlserver(tmp_path: Path) -> Iterator[tuple[str, Callable[[LogisticRegression], None]]]:
    """The URL of an MLServer with the model `m`, and what loads a new version of it."""
    executable, ports = _executable("mlserver"), [_free_port() for _ in range(3)]
    names = ("http_port", "grpc_port", "metrics_port")
    settings = dict(zip(names, ports, strict=True)) | {"host": "127.0.0.1", "parallel_workers": 0}
    folder, url = tmp_path / "m", f"http://127.0.0.1:{ports[0]}"
    folder.mkdir()
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    described = {"name": "m", "implementation": "mlserver_sklearn.SKLearnModel"}
    (folder / "model-settings.json").write_text(json.dumps({**described, "parameters": {"uri": "./model.joblib"}}))
    joblib.dump(_fit(), folder / "model.joblib")

    def load(model: LogisticRegression) -> None:
        joblib.dump(model, folder / "model.joblib")
        request = urllib.request.Request(
            f"{url}/v2/repository/models/m/load", b"{}", {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200

    with _running([str(executable), "start", str(tmp_path)], f"{url}/v2/models/m/ready", tmp_path / "log"):
        yield url, load


@pytest.mark.usefixtures("needs_http")
def test_mlserver_is_attacked_and_judged_with_the_numbers_of_the_same_model_in_memory(mlserver):
    url, load = mlserver
    versions, same = Versions(load), Versions(lambda model: None)
    dialect = OpenInference("m", output="predict_proba")
    remote = HttpService(SPEC, HttpClient(url, settings=WHOLE), dialect, layout="flat", undo=NoUndo())
    assert "lists no inputs" in remote.description.words
    served = CallableService(SPEC, remote.predict, versions.forget, versions.reset)
    in_memory = CallableService(SPEC, same.predict, same.forget, same.reset)
    settings = {"class_a": "ant", "class_b": "bee", "fraction": 0.3, "seeds": (0, 1)}
    _same_verdict(ou.audit(served, DATA, **settings), ou.audit(in_memory, DATA, **settings))
    labels = HttpService(SPEC, HttpClient(url, settings=WHOLE), OpenInference("m"), layout="flat", undo=NoUndo())
    assert np.array_equal(labels.predict(DATA.test.images), np.eye(3)[same.predict(DATA.test.images).argmax(-1)])


SAVE = """
import sys, joblib, mlflow.sklearn
mlflow.sklearn.save_model(
    joblib.load(sys.argv[1]), sys.argv[2], pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle"
)
"""


class RestartedMlflow:
    """MLflow's server, which knows no second version: another model is another process at the same port."""

    def __init__(self, executable: Path, folder: Path):
        self._executable, self._folder, self._port, self._versions = executable, folder, _free_port(), 0
        self._serving = ExitStack()
        self.url = f"http://127.0.0.1:{self._port}"

    def load(self, model: LogisticRegression) -> None:
        self.close()
        self._versions += 1
        plain, saved = self._folder / "model.joblib", self._folder / str(self._versions)
        joblib.dump(model, plain)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        python = str(self._executable.with_name("python"))
        subprocess.run([python, "-c", SAVE, str(plain), str(saved)], check=True, capture_output=True, env=environment)
        command = [str(self._executable), "models", "serve", "-m", str(saved), "-p", str(self._port)]
        command += ["--env-manager", "local", "-w", "1"]
        self._serving.enter_context(_running(command, f"{self.url}/ping", self._folder / "log"))

    def close(self) -> None:
        self._serving.close()


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[RestartedMlflow]:
    """MLflow's server with the deployed model."""
    server = RestartedMlflow(_executable("mlflow"), tmp_path)
    with closing(server):
        server.load(_fit())
        yield server


@pytest.mark.usefixtures("needs_http")
def test_mlflow_s_server_is_attacked_and_judged_with_the_numbers_of_the_same_model_in_memory(mlflow):
    float64 = np.float64  # what MLflow makes of numbers, without a signature
    versions, same = Versions(mlflow.load, float64), Versions(lambda model: None, float64)
    remote = HttpService(SPEC, HttpClient(mlflow.url, settings=WHOLE), Mlflow(), layout="flat", undo=NoUndo())
    served = CallableService(SPEC, remote.predict, versions.forget, versions.reset)
    in_memory = CallableService(SPEC, same.predict, same.forget, same.reset)
    settings = {"class_a": "ant", "class_b": "bee", "fraction": 0.3, "seeds": (0,), "attacks": ("normal", "pushing_1")}
    _same_verdict(ou.audit(served, DATA, **settings), ou.audit(in_memory, DATA, **settings))


def _same_verdict(found: Judgement, expected: Judgement) -> None:
    assert found.headline == expected.headline
    assert [claim.words for claim in found.claims] == [claim.words for claim in expected.claims]
    for one, other in zip(found.rows, expected.rows, strict=True):
        for name in ("queries", "submitted", "class_a", "class_b", "overall", "l2_mean", "l2_max", "steps_median"):
            assert one[name] == other[name], name
