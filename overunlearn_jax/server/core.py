"""The model that answers, and its change from one version to the next: all that is neither HTTP nor unlearning."""

import os
import threading
from pathlib import Path
from typing import NamedTuple

import filelock
import numpy as np

from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.models import Model, predict_fn
from overunlearn_jax.server.journal import Journal
from overunlearn_jax.server.lineage import Lineage, Outcome, UnknownVersionError, Version
from overunlearn_jax.server.logs import Log, no_log
from overunlearn_jax.server.private import make_private
from overunlearn_jax.server.queue import Queue
from overunlearn_jax.server.settings import ServerSettings
from overunlearn_jax.server.versions import VersionFiles
from overunlearn_jax.services.fingerprint import weights_digest
from overunlearn_jax.types import DatasetSpec, PredictFn, Variables

BATCHES = (1, 8, 32, 128)  # a request is padded to the next of these sizes: each is compiled once


class OccupiedError(RuntimeError):
    """Another process serves from this folder."""


class Served(NamedTuple):
    """One version of the model, which never changes: whoever holds it answers from it alone."""

    version: Version
    variables: Variables
    predict: PredictFn


class ServedModel:
    """A model with versions in a folder.

    Args:
      spec: the images that it takes, and its classes.
      model: two pure functions.
      variables: as trained: the first version.
      folder: of the journal and the versions, of this process alone; from here on its owner alone may enter it.
      settings: see `ServerSettings`.
      log: told what happens.
      start_from: number of an earlier version to go on from; None: from the one that answered last.

    Raises:
      OccupiedError: another process serves from the folder.
      ValueError: the folder is of another model or another user, or has no such version.
      JournalError, DamagedVersionError: what is on disk cannot be used.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        model: Model,
        variables: Variables,
        folder: Path,
        settings: ServerSettings,
        *,
        log: Log = no_log,
        start_from: int | None = None,
    ):
        self.spec, self.model, self.settings = spec, model, settings
        make_private(folder)
        self._lock = filelock.FileLock(folder / "serving.lock")
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise OccupiedError(f"another process serves from {folder}: end it, or give another --workdir") from error
        try:
            self._open(variables, folder, log, start_from)
        except BaseException:
            if hasattr(self, "journal"):
                self.journal.close()
            self._lock.release()
            raise

    def _open(self, variables: Variables, folder: Path, log: Log, start_from: int | None) -> None:
        self.journal = Journal(folder / "journal.sqlite3")
        self.queue, self.lineage = Queue(self.journal), Lineage(self.journal)
        self.files = VersionFiles(folder / "versions", variables)
        self._change = threading.Lock()  # around a change on disk and in memory
        trained = weights_digest(variables)
        if (noted := self.journal.fact("trained", trained)) != trained:
            raise ValueError(
                f"{folder} serves a model that was trained to the weights {noted}, and this is {trained}: give another "
                "--workdir, or the flags and data of the first start"
            )
        if self.lineage.current() is None:
            self.files.write(1, variables)
            self.lineage.begin(trained)
        if start_from is not None:
            try:
                self.lineage.go_back(self.lineage.version(start_from), f"started from version {start_from}")
            except UnknownVersionError as error:
                kept = ", ".join(map(str, sorted(self.lineage.with_files())))
                raise ValueError(f"--from_version={start_from}: expected one whose file is kept: {kept}") from error
        version = self.lineage.current()
        assert version is not None  # one was begun
        self.served = self._read(version)
        self.files.delete_others(self.lineage.with_files())
        again = self.queue.take_up_again()
        log("opened", model_version=str(version.number), deletions_again=again, pid=os.getpid())

    def warm_up(self) -> None:
        """Answers once in every size of batch, so that nobody waits for a compilation."""
        for size in BATCHES:
            self.predict(np.full((size, *self.spec.image_shape), self.spec.bounds.lower, np.float32))

    def predict(self, images: np.ndarray) -> tuple[np.ndarray, int]:
        """What the current version answers.

        Args:
          images: shape=(n, h, w, c), dtype=float32, inside the bounds.

        Returns:
          Probabilities, shape=(n, k), dtype=float32, and the version that all of them are of.
        """
        served = self.served  # once: another version may answer from here on
        return answers(served.predict, images), served.version.number

    def commit(self, base: Served, variables: Variables, ids: frozenset[int], outcome: Outcome) -> Served:
        """Makes the next version of what a deletion has left of `base`; from here on it answers.

        Its file is on disk before the journal has it, and the journal has it before it answers. Raises OvertakenError
        where another version than the base answers by now, OSError where the disk refuses.
        """
        number = self.lineage.next_number()
        digest = self.files.write(number, variables)
        version = Version(number, digest, base.version.forgotten | ids)
        new = Served(version, variables, predict_fn(self.model, variables))
        with self._change:
            self.lineage.complete(base.version, version, outcome)
            self.served = new
        self._clean()
        return new

    def commit_nothing(self, base: Served, outcome: Outcome) -> None:
        """Completes a deletion of samples that `base` has forgotten before. Raises OvertakenError."""
        with self._change:
            self.lineage.complete(base.version, None, outcome)
        self._clean()

    def restore(self, snapshot: str) -> int:
        """Goes back to the version that a snapshot names, and returns its number.

        Deletions that wait are done from there; one that is under way begins anew; one that was completed, and that the
        version has not done, is undone. Raises UnknownVersionError and
        DamagedVersionError.
        """
        served = self._read(self.lineage.of_snapshot(snapshot))
        with self._change:
            self.lineage.go_back(served.version, f"snapshot {snapshot}")
            self.served = served
        return served.version.number

    def close(self) -> None:
        """Lets go of the folder."""
        self.journal.close()
        self._lock.release()

    def _read(self, version: Version) -> Served:
        variables = self.files.read(version.number, version.digest)
        return Served(version, variables, predict_fn(self.model, variables))

    def _clean(self) -> None:
        self.lineage.drop_files(self.settings.keep_versions)
        self.files.delete_others(self.lineage.with_files())
        self.journal.forget_freed_pages()


def answers(predict: PredictFn, images: np.ndarray) -> np.ndarray:
    """Probabilities in batches of one of a few sizes, so that few programs are compiled.

    Args:
      predict: of the model.
      images: shape=(n, h, w, c), dtype=float32.

    Returns:
      shape=(n, k), dtype=float32.
    """
    size = next((size for size in BATCHES if size >= len(images)), BATCHES[-1])
    return predict_in_batches(predict, images, size)
