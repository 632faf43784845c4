"""The whole paper over HTTP: a client that knows a URL, a token and its own samples makes a model forget too much.

    make serve-demo                       # 3 minutes on 2 CPU cores
    python -m experiments.serving.demo    # the same, once it is installed

A service is started on scikit-learn's digits, in a process of its own. One of its ten owners pushes the samples of
class 3 that it handed in, by predictions alone, and asks for their deletion: honestly, with noise, blended and pushed.
Before each request an admin brings the model back to a snapshot. The page shows what is left of it for everybody else.
"""

import contextlib
import itertools
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags, logging

import overunlearn_jax as ou
from experiments.serving.client import Client, own_samples
from experiments.serving.process import Service
from overunlearn_jax.reporting import Judgement, manifest, write_report
from overunlearn_jax.server.tokens import ADMIN, token_of
from overunlearn_jax.types import DivergedError, Splits

OWNERS = tuple(f"owner_{number}" for number in range(10))
CLASS_A, CLASS_B = "3", "8"
FRACTION = 0.8  # of the attacker's samples of class A: another choice of them each seed
SERVICE = ("--dataset=digits", "--width=16", "--epochs=20", "--unlearning=first_order", "--taus=2e-2")


class OverHttp:
    """The service as an audit takes it: predict, forget and reset, each a request."""

    pixels = ou.PixelFormat()  # the client sends them as the service wants them

    def __init__(self, url: str, token: str, admin: str):
        self._client, self._admin = Client(url, token), Client(url, admin)
        self._snapshot = self._admin.send("POST", "/snapshots")["id"]
        self._numbers = itertools.count(1)
        self.images = self.deletions = 0

    def predict(self, images: np.ndarray) -> np.ndarray:
        """POST /v2/models/model/infer."""
        self.images += len(images)
        return self._client.predict(images)

    def forget(self, images: np.ndarray, labels: np.ndarray) -> None:
        """POST /deletions, then GET until it has ended."""
        self.deletions += 1
        key = f"{self._snapshot} {next(self._numbers)}"
        ended = self._client.wait(self._client.delete(images, labels, key))
        if ended["status"] != "completed":
            kind = DivergedError if "diverged" in str(ended["error"]) else RuntimeError
            raise kind(f"the deletion {ended['status']}: {ended['error']}")

    def reset(self) -> None:
        """POST /snapshots/ID/restore."""
        self._admin.send("POST", f"/snapshots/{self._snapshot}/restore")

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
        self._admin.close()


def attack(
    workdir: Path,
    data: Splits,
    url: str,
    seeds: tuple[int, ...] = (0, 1, 2),
    classes: tuple[str, str] = (CLASS_A, CLASS_B),
    search: ou.ZooSettings | None = None,
) -> tuple[Judgement, OverHttp]:
    """The attacker's walk: push, delete, look. `data` has the test images; those of training are not looked at."""
    tokens = workdir / "tokens.json"
    own_token, admin = token_of(tokens, OWNERS[0]), token_of(tokens, ADMIN)
    images, labels = own_samples(workdir, OWNERS[0])
    own = data._replace(
        train=ou.Split(images, labels, np.arange(len(labels)))
    )  # all that it knows of the training data
    with contextlib.closing(OverHttp(url, own_token, admin)) as remote:
        service = ou.service(spec=data.spec, predict=remote.predict, forget=remote.forget, reset=remote.reset)
        judgement = ou.audit(
            service,
            own,
            class_a=classes[0],
            class_b=classes[1],
            fraction=FRACTION,
            seeds=seeds,
            search=search,
            name=url,
            on_progress=lambda line: print(line, file=sys.stderr, flush=True),
        )
    return judgement, remote


def page(workdir: Path, judgement: Judgement, settings: dict[str, Any]) -> Path:
    """Writes what was found as one HTML page."""
    rows = judgement.rows
    return write_report(
        workdir / "report.html", rows, [], manifest(), settings, "A service over HTTP", judgement=judgement
    )


def main(arguments: list[str]) -> None:
    """Starts the service, attacks it, writes the page."""
    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}")
    logging.set_verbosity(logging.WARNING)  # JAX tells of every device that is not there at INFO
    workdir, began = Path(flags.FLAGS.workdir), time.perf_counter()
    typed = [*SERVICE, f"--owners={','.join(OWNERS)}", f"--cache_dir={flags.FLAGS.cache_dir}"]
    data = ou.load("digits", seed=0)
    with Service(workdir / "service", typed) as service:
        judgement, remote = attack(workdir / "service", data, service.url())
    told = {"images sent": remote.images, "deletions": remote.deletions, "service": " ".join(typed)}
    written = page(workdir, judgement, told)
    print(judgement)
    print(f"{remote.images:,} images sent, {remote.deletions} deletions, {time.perf_counter() - began:.0f} s")
    print(f"report: {written}")


if __name__ == "__main__":
    flags.DEFINE_string("workdir", "runs/serve_demo", "folder of the service and of the page")
    flags.DEFINE_string("cache_dir", "runs/cache", "trained victims")
    app.run(main)
