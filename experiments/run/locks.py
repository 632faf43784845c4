"""One process at a time: in a workdir, and at the training of one victim.

Locks are the operating system's (`filelock`): a process that is gone, killed or not, holds none. On a network disk they
hold where the disk's own locks do: NFS 4 and later, Lustre with `flock`; elsewhere give each machine its own folder.
"""

import datetime
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock


class OccupiedError(RuntimeError):
    """Another process is at work there; the message says which, and since when."""


@contextmanager
def alone_in(workdir: Path) -> Iterator[None]:
    """Around a run: no other process writes into the workdir.

    Raises OccupiedError, naming the other process, where one does.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with _held(workdir / "run.lock", wait=False) as owner:
        if owner:
            raise OccupiedError(
                f"--workdir={workdir}: {owner} runs there: wait for it, or give another --workdir; its rows are kept"
            )
        yield


@contextmanager
def one_at_a_time(folder: Path, what: str) -> Iterator[None]:
    """Around work whose result others look for in `folder`: whoever comes second waits, and says so once."""
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder / "work.lock", wait=False) as owner:
        if not owner:
            yield
            return
    print(f"{what}: {owner} is at it, waiting for that", file=sys.stderr, flush=True)
    with _held(folder / "work.lock", wait=True):
        yield


@contextmanager
def _held(path: Path, *, wait: bool) -> Iterator[str]:
    """Holds a lock, with a note of who does; gives the words for another owner where it is not had."""
    lock, note = filelock.FileLock(path), path.with_suffix(".json")
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except filelock.Timeout:
        yield _owner(note)
        return
    try:
        since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with suppress(OSError):  # a full disk; the lock holds without a note
            note.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))
        yield ""
    finally:
        with suppress(OSError):
            note.unlink()
        lock.release()


def _owner(note: Path) -> str:
    try:
        noted = json.loads(note.read_text())
        return f"process {noted['pid']} on {noted['host']}, since {noted['since']},"
    except (OSError, ValueError, KeyError):  # it has just begun
        return "another process"
