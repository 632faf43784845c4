"""A service that other processes, and a kill, cannot leave in the middle of a deletion unnoticed.

Leaving `after` brings a service back, and a kill leaves none of it: what runs elsewhere may then have forgotten. So
each deletion is noted before it is sent, and the note goes once the service answers as before. Whoever starts next
finds the note, resets the service and compares before anything else. One process at a time is inside `after`.
"""

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import filelock
import numpy as np

from overunlearn_jax.files import write_json
from overunlearn_jax.services.fingerprint import Answers, ask, distance, same
from overunlearn_jax.services.inspection import ServiceError
from overunlearn_jax.services.service import After, Service
from overunlearn_jax.types import DatasetSpec, Key, PredictFn, Request

Reset = Callable[[], object]


class GuardedService:
    """A service with a note and a lock in a folder of its own.

    Args:
      service: behind the guard.
      directory: of this service alone, on a disk that all who use the service see. Locks of `filelock` hold on network
        disks whose locks do (NFS 4 and later).
      images: what it is asked, to see that it is itself again.
      expected: what it answers them as deployed.
      wait: seconds to wait for another process that has the service inside `after`; negative: without end.
    """

    def __init__(self, service: Service, directory: Path, images: np.ndarray, expected: Answers, *, wait: float = -1.0):
        self._service, self._images, self._expected = service, images, expected
        self._note, self._wait = directory / "deleting.json", wait
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(directory / "deleting.lock")

    @property
    def spec(self) -> DatasetSpec:
        """Of the service behind."""
        return self._service.spec

    @property
    def predict(self) -> PredictFn:
        """Of the service behind."""
        return self._service.predict

    @contextmanager
    def after(self, requests: Sequence[Request], key: Key) -> Iterator[After]:
        """`Service.after`, noted before it is sent.

        Raises ServiceError where another process has the service for longer than `wait`, and where the service does
        not answer as before once it was reset; the note then stays.
        """
        with self._alone():
            write_json(self._note, {"samples": sum(len(each.labels) for each in requests), **_owner()})
            with self._service.after(requests, key) as left:
                yield left
            self._compare()
            self._note.unlink()

    def recover(self, reset: Reset) -> bool:
        """Resets a service whose last deletion was not ended, and compares; returns whether there was one.

        Raises ServiceError where it does not answer as before.
        """
        with self._alone():
            if not self._note.exists():
                return False
            reset()
            self._compare()
            self._note.unlink()
            return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self._lock.acquire(timeout=self._wait)
        except filelock.Timeout as error:
            raise ServiceError(f"another process is deleting from this service ({self._who()}): wait for it") from error
        try:
            yield
        finally:
            self._lock.release()

    def _who(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            noted = json.loads(self._note.read_text())
            return f"process {noted['pid']} on {noted['host']}"
        return "it has left no note"

    def _compare(self) -> None:
        answers = ask(self.predict, self._images, times=1)
        if not same(self._expected, answers):
            raise ServiceError(
                f"the service was reset, and some probability still differs by {distance(self._expected, answers):.3g} "
                f"from what it answered as deployed: bring it back by hand, then delete {self._note}"
            )


def _owner() -> dict[str, object]:
    return {"pid": os.getpid(), "host": socket.gethostname()}
