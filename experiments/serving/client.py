"""A plain client of the reference service, on one kept connection, for the demo and the benchmarks."""

import http.client
import time
import urllib.parse
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import orjson

POLLING = 0.02  # seconds between looks at a deletion


class RefusedError(RuntimeError):
    """The service answered with an error; the message is its status and its words."""


class Client:
    """Asks and deletes; pixels are those of the package, in [-0.5, 0.5], and are sent as they have to be.

    Args:
      url: of the service.
      token: of the owner.
      timeout: seconds that an answer may take.

    Not for several threads at once. Raises OSError or http.client.HTTPException where the service cannot be reached.
    """

    def __init__(self, url: str, token: str, timeout: float = 60.0):
        self._place, self._token = urllib.parse.urlsplit(url).netloc, token
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None
        self.version = ""  # of the last answer

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Probabilities (n, k), float32."""
        unit = np.asarray(images, np.float64) + 0.5
        tensor = {"name": "images", "shape": list(unit.shape), "datatype": "FP64", "data": unit.ravel()}
        answer = self.send("POST", "/v2/models/model/infer", {"inputs": [tensor]})
        [output] = answer["outputs"]
        self.version = answer["model_version"]
        return np.array(output["data"], np.float32).reshape(output["shape"])

    def delete(self, images: np.ndarray, labels: np.ndarray, key: str) -> str:
        """Submits samples for deletion; the name of the deletion."""
        unit = np.asarray(images, np.float64) + 0.5
        body = {"by": "submission", "images": np.ascontiguousarray(unit), "labels": np.asarray(labels).tolist()}
        return str(self.send("POST", "/deletions", body, {"Idempotency-Key": key})["id"])

    def wait(self, deletion: str, seconds: float = 600.0) -> dict[str, Any]:
        """How a deletion has ended. Raises TimeoutError where it has not within the seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            stands = self.send("GET", f"/deletions/{deletion}")
            if stands["status"] not in ("pending", "in_progress"):
                return stands
            time.sleep(POLLING)
        raise TimeoutError(f"the deletion {deletion} has not ended within {seconds:g} s")

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """One request. Raises RefusedError for every answer that is an error."""
        data = None if body is None else orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        own = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"} | (headers or {})
        kept = self._connection is not None
        try:
            answer, read = self._exchange(method, path, data, own)
        except (http.client.RemoteDisconnected, ConnectionError):
            if not kept:
                raise
            answer, read = self._exchange(method, path, data, own)  # the service has closed an idle connection
        told: dict[str, Any] = orjson.loads(read)
        if answer.status >= 400:
            raise RefusedError(f"{answer.status} {told['error']['code']}: {told['error']['message']}")
        return told

    def _exchange(
        self, method: str, path: str, data: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._place, timeout=self._timeout)
        try:
            self._connection.request(method, path, data, headers)
            answer = self._connection.getresponse()
            return answer, answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def close(self) -> None:
        """Closes the connection; the next request opens one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def own_samples(workdir: Path, owner: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels that an owner handed in."""
    with np.load(workdir / "owners" / f"{owner}.npz") as file:
        return file["images"], file["labels"]
