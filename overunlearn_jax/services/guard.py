"""A service that other processes, and a kill, cannot leave in the middle of a deletion unnoticed.

Leaving `after` brings a service back, and a kill leaves none of it: what runs elsewhere may then have forgotten. So
each deletion is noted before it is sent, and the note goes once the service answers as before. Whoever starts next
finds the note, resets the service and compares before anything else. One process at a time is inside `after`.
"""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from overunlearn_jax.digests import read_sealed, sealed_text
from overunlearn_jax.files import write_bytes
from overunlearn_jax.services.fingerprint import SAME_START, Answers, ask, distance, same
from overunlearn_jax.services.inspection import ServiceError
from overunlearn_jax.services.service import After, Service
from overunlearn_jax.types import DatasetSpec, Key, PredictFn, Request

NOTE = "deleting.json"


class GuardedService:
    """A service with a note and a lock in a folder of its own.

    Args:
      service: behind the guard.
      directory: of this service alone, on a disk that all who use the service see. Locks of `filelock` hold on network
        disks whose locks do (NFS 4 and later).
      images: what it is asked, to see that it is itself again.
      expected: what it answers them as deployed.
      name: of the service, for the note.
      wait: seconds to wait for another process that is deleting from the service; negative: without end.
    """

    def __init__(
        self,
        service: Service,
        directory: Path,
        images: np.ndarray,
        expected: Answers,
        *,
        name: str,
        wait: float = -1.0,
    ):
        self._service, self._images, self._expected, self._name = service, images, expected, name
        self._note, self._wait = directory / NOTE, wait
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

        Raises:
          ServiceError: where another process has the service for longer than `wait`, and where the service does not
            answer as before once it was reset; the note then stays.
        """
        with self.noted(samples=sum(len(each.labels) for each in requests)):
            with self._service.after(requests, key) as left:
                yield left
            answers = ask(self.predict, self._images, times=1)
            if not same(self._expected, answers, SAME_START):
                raise ServiceError(
                    "the service was reset, and the logarithm of some probability still differs by "
                    f"{distance(self._expected, answers):.3g} from what it answered as deployed: bring it back by "
                    f"hand, then delete {self._note}"
                )

    @contextmanager
    def noted(self, *, samples: int) -> Iterator[None]:
        """Around a deletion: alone, and with a note that goes only where nothing is raised."""
        try:
            self._lock.acquire(timeout=self._wait)
        except filelock.Timeout as error:
            raise ServiceError(f"another process is deleting from this service ({self._who()}): wait for it") from error
        try:
            owner = {"pid": os.getpid(), "host": socket.gethostname()}
            noted = {"service": self._name, "samples": samples, **owner}
            write_bytes(self._note, sealed_text(noted).encode())
            yield
            self._note.unlink()
        finally:
            self._lock.release()

    def _who(self) -> str:
        noted = unfinished(self._note.parent)
        return "it has left no note" if noted is None else f"process {noted['pid']} on {noted['host']}"


def unfinished(directory: Path) -> dict[str, Any] | None:
    """What was noted of a deletion that nobody has ended, its file as `note`; None where there is none.

    Raises:
      DamagedError: a ValueError, a note that is not as it was written.
    """
    path = directory / NOTE
    remedy = "a deletion may not have been ended: bring the service back by hand, then delete this note"
    try:
        return {"service": "", "pid": "?", "host": "?", **read_sealed(path, remedy), "note": str(path)}
    except FileNotFoundError:
        return None
