"""Whether the service loses a deletion, or does one twice: it is killed under load, over and over.

    python -m experiments.benchmarks.server_faults --kills=100 --workdir=runs/server_faults

Clients submit samples and ask for predictions without a pause; at a random moment the service is killed (SIGKILL) and
started again, and whatever was not acknowledged is sent again with its key. In the end every acknowledged deletion has
to be completed, and the journal's versions have to be, bit for bit, those that the method gives when the deletions are
done one after the other in this process: a lost one, or one done twice, would change all weights after it. Every
answer has to be that of the version it names, bit for bit.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("bench server_faults", "python -m experiments.benchmarks.server_faults")

import contextlib
import http.client
import json
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags

from experiments.config import DEFAULTS, Config
from experiments.config import flags as config_flags
from experiments.serving.client import Client, RefusedError, own_samples
from experiments.serving.process import Service
from overunlearn_jax.files import write_json
from overunlearn_jax.server.tokens import token_of

SMALL: dict[str, Any] = {"workdir": "runs/server_faults", "seeds": (0,), "width": 8, "epochs": 5, "taus": (1e-6,)}
WRONG = ("lost", "twice", "never_asked_for", "not_completed", "wrong_parents", "wrong_weights", "wrong_answers")
OWNER = "alice"
SAMPLES = 4  # of a deletion
PROBES = 8  # images of a prediction
BUSY = 3.0  # seconds, at most, until a kill
COMPILED_ONCE = {  # a start finds what earlier ones have compiled, so that kills meet deletions and not compilations
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
FULL = 0.2  # seconds until a client asks a full queue again
GONE = (OSError, http.client.HTTPException)  # what a client meets when the service is killed


class Submitted(NamedTuple):
    """A deletion, by its key."""

    key: str
    rows: np.ndarray  # of the owner's samples


class Load:
    """Two clients: one deletes, one asks; both stop when the service is gone."""

    def __init__(self, workdir: Path, seed: int):
        self.images, self.labels = own_samples(workdir, OWNER)
        self.token = token_of(workdir / "tokens.json", OWNER)
        self._rng = np.random.default_rng(seed)
        self.acknowledged: dict[str, Submitted] = {}  # by the name of the deletion
        self.unanswered: list[Submitted] = []
        self.answers: dict[str, set[bytes]] = {}  # by version
        self.asked = self.submitted = self.sent_again = 0

    def run(self, url: str, stop: threading.Event) -> list[threading.Thread]:
        """Starts both clients."""
        threads = [threading.Thread(target=work, args=(url, stop)) for work in (self._delete, self._ask)]
        for thread in threads:
            thread.start()
        return threads

    def send_again(self, url: str) -> None:
        """What was not acknowledged, with the keys that it was sent with."""
        with Client(url, self.token) as client:
            while self.unanswered:
                try:
                    self._submit(client, self.unanswered[0])
                except RefusedError:  # as many wait as may, and it is not among them
                    time.sleep(FULL)
                    continue
                self.unanswered.pop(0)
                self.sent_again += 1

    def _delete(self, url: str, stop: threading.Event) -> None:
        with Client(url, self.token) as client:
            while not stop.is_set():
                self.submitted += 1
                rows = self._rng.choice(len(self.labels), SAMPLES, replace=False)
                one = Submitted(f"key {self.submitted}", rows)
                try:
                    self._submit(client, one)
                except RefusedError:  # as many wait as may: it was not accepted, and is not sent again
                    stop.wait(FULL)
                except GONE:
                    self.unanswered.append(one)
                    stop.wait(0.01)

    def _submit(self, client: Client, one: Submitted) -> None:
        name = client.delete(self.images[one.rows], self.labels[one.rows], one.key)
        self.acknowledged[name] = one

    def _ask(self, url: str, stop: threading.Event) -> None:
        with Client(url, self.token) as client:
            while not stop.is_set():
                with contextlib.suppress(*GONE):
                    answer = client.predict(self.images[:PROBES])
                    self.answers.setdefault(client.version, set()).add(answer.tobytes())
                    self.asked += 1


def measure(config: Config, typed: Sequence[str], kills: int, seed: int = 0) -> dict[str, Any]:
    """Counts of what happened and of what went wrong.

    Args:
      config: of the service.
      typed: the same as flags.
      kills: how often it is killed.
      seed: of the moments and of the samples.
    """
    workdir, rng = Path(config.run.workdir), np.random.default_rng([seed, 1])
    load: Load | None = None
    ready = []
    environment = COMPILED_ONCE | {"JAX_COMPILATION_CACHE_DIR": str(workdir / "compiled")} | os.environ
    for _ in range(kills):
        service, stop, threads = Service(workdir, typed, environment), threading.Event(), []
        try:
            began = time.perf_counter()
            url = service.url()
            ready.append(time.perf_counter() - began)
            load = load or Load(workdir, seed)
            load.send_again(url)
            threads = load.run(url, stop)
            time.sleep(rng.uniform(0, BUSY))
        finally:
            service.kill()
            stop.set()
        for thread in threads:
            thread.join()
    assert load is not None  # a kill at least
    with Service(workdir, typed, environment) as service, Client(service.url(), load.token) as client:
        load.send_again(service.url())
        ended = {name: client.wait(name) for name in load.acknowledged}
    return {
        "kills": kills,
        "deletions_acknowledged": len(load.acknowledged),
        "sent_again": load.sent_again,
        "predictions": load.asked,
        "versions_asked": len(load.answers),
        "seconds_to_start": float(np.median(ready)),
        **judge(config, workdir, load, ended),
    }


def judge(config: Config, workdir: Path, load: Load, ended: dict[str, dict[str, Any]]) -> dict[str, int]:
    """What went wrong, counted: all of it has to be 0."""
    with contextlib.closing(sqlite3.connect(workdir / "journal.sqlite3")) as journal:
        versions = journal.execute("SELECT version, parent, digest, deletion FROM versions ORDER BY version").fetchall()
        interrupted = journal.execute("SELECT COUNT(*) FROM deletions WHERE attempts > 1").fetchone()[0]
        numbers = dict(journal.execute("SELECT id, number FROM deletions").fetchall())
    done = [deletion for *_, deletion in versions[1:]]
    digests, right = _replay(config, load, [(name, numbers[name]) for name in done])
    return {
        "interrupted_and_done_again": interrupted,
        "lost": sum(done.count(name) == 0 for name in load.acknowledged),
        "twice": sum(done.count(name) > 1 for name in load.acknowledged),
        "never_asked_for": sum(name not in load.acknowledged for name in done),
        "not_completed": sum(each["status"] != "completed" for each in ended.values()),
        "wrong_parents": sum(parent != number - 1 for number, parent, *_ in versions[1:]),
        "wrong_weights": sum(digest != ours for (*_, digest, _), ours in zip(versions, digests, strict=True)),
        "wrong_answers": sum(found != {right[int(version)]} for version, found in load.answers.items()),
    }


def _replay(config: Config, load: Load, done: list[tuple[str, int]]) -> tuple[list[str], dict[int, bytes]]:
    """The versions that the deletions give in this process: digests of their weights, and their answers."""
    from experiments.requests.settings import load_splits
    from experiments.run.keys import seed_keys
    from experiments.serving.service import forgetter_of
    from experiments.victims.cache import train_or_find
    from overunlearn_jax.models import predict_fn
    from overunlearn_jax.server.core import answers
    from overunlearn_jax.server.forgetter import check_weights
    from overunlearn_jax.services.fingerprint import weights_digest
    from overunlearn_jax.types import Request

    seed = config.run.seeds[0]
    splits, keys = load_splits(config, seed), seed_keys(seed)
    victim = train_or_find(config.victim, config.service, config.run, splits, seed, keys.train)
    weights, forget = check_weights(victim.service), forgetter_of(config, splits, victim)
    variables = weights.variables
    digests, right = [weights_digest(variables)], {}
    for version in range(1, len(done) + 2):
        if version > 1:
            name, number = done[version - 2]
            rows = load.acknowledged[name].rows
            request = Request(load.images[rows], load.labels[rows])
            variables = forget(variables, frozenset(), request, jax.random.fold_in(keys.unlearn, number)).variables
            digests.append(weights_digest(variables))
        right[version] = answers(predict_fn(weights.model, variables), load.images[:PROBES]).tobytes()
    return digests, right


def define_flags() -> None:
    """The benchmark's own flags, and those of a run."""
    flags.DEFINE_integer("kills", 10, "how often the service is killed", lower_bound=1)
    flags.DEFINE_string("out", "", "JSON file for the counts")
    config_flags.define_flags(SMALL)


def main(arguments: list[str]) -> int:
    """Kills, prints the counts, and fails where one that has to be 0 is not."""
    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}")
    config = config_flags.from_flags(flags.FLAGS, SMALL)
    if (Path(config.run.workdir) / "journal.sqlite3").exists():
        raise ValueError(f"--workdir={config.run.workdir} has a journal already: give a new folder")
    row = measure(config, flags_of(config), flags.FLAGS.kills)
    print(json.dumps(row, indent=2))
    if flags.FLAGS.out:
        write_json(flags.FLAGS.out, row)
    return int(any(row[name] for name in WRONG))


def flags_of(config: Config) -> list[str]:
    """The settings of a config as flags, but for its workdir and those that are defaults."""
    typed = config.as_typed()
    changed = [name for name, value in config.flat().items() if value != DEFAULTS[name] and name != "workdir"]
    return [f"--{name}={typed[name]}" for name in dict.fromkeys([*changed, "seeds"])]
