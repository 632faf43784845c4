"""Ways to bring a service back after a deletion: a snapshot, a command, a fresh replica, or none."""

import contextlib
import json
import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from overunlearn_jax.files import write_json
from overunlearn_jax.services.http.client import HttpClient
from overunlearn_jax.services.http.errors import RefusedError, UnavailableError, shortened

NOTE = "snapshot.json"
NO_UNDO = (
    "the service has no way to undo a deletion (--undo=none): every request after the first would meet a service that "
    "has forgotten already, so an honest and a malicious request over the same samples cannot be compared, nor two "
    "malicious ones, nor seeds. Give --undo=snapshot, command or replica; what the service reveals, and samples pushed "
    "against it, need no deletion: overunlearn probe"
)


class Undo(Protocol):
    """How a service is brought back. `before` is called before a deletion, `back` after it, whatever became of it."""

    @property
    def possible(self) -> bool:
        """Whether there is any way back."""

    def before(self, client: HttpClient) -> HttpClient:
        """What is to be kept is kept; returns whom to send the deletion to, and to ask until `back`."""

    def back(self, client: HttpClient) -> None:
        """The service that `client` leads to is as it was."""


class Snapshot:
    """`POST /snapshots` before a deletion and `POST /snapshots/{id}/restore` after it, as in `schema.md`.

    Args:
      directory: where the id of a snapshot lies until it is restored, so that the next start finds it after a kill;
        None: it is kept in memory alone.
      path: of snapshots, behind the service's URL.
    """

    possible = True

    def __init__(self, directory: Path | None = None, *, path: str = "/snapshots"):
        self._note, self._path = directory / NOTE if directory else None, path
        self._identity = self._noted()

    def before(self, client: HttpClient) -> HttpClient:
        """See `Undo`. Raises RefusedError for an answer without an id."""
        answer = client.post_json(self._path, {})
        if not isinstance(answer, dict) or not answer.get("id"):
            raise RefusedError(f"{self._path} answered {shortened(str(answer))!r}; expected the id of a snapshot")
        self._identity = str(answer["id"])
        if self._note:
            write_json(self._note, {"id": self._identity})
        return client

    def back(self, client: HttpClient) -> None:
        """See `Undo`. Nothing to do where no snapshot is open."""
        if not self._identity:
            return
        client.post_json(f"{self._path}/{self._identity}/restore", {})
        self._identity = ""
        if self._note:
            self._note.unlink(missing_ok=True)

    def _noted(self) -> str:
        if self._note is None or not self._note.exists():
            return ""
        with contextlib.suppress(ValueError, KeyError):  # half written: the deletion was not sent yet
            return str(json.loads(self._note.read_text())["id"])
        return ""


class UndoCommand:
    """A command of the user's that brings the service back, such as one that rolls a deployment back.

    Args:
      command: as in a shell, and run without one. It has to end once the service is back, with status 0.
      timeout: seconds that it may take.
    """

    possible = True

    def __init__(self, command: str, *, timeout: float = 600.0):
        self._command, self._timeout = _words(command), timeout

    def before(self, client: HttpClient) -> HttpClient:
        """See `Undo`: nothing is kept."""
        return client

    def back(self, client: HttpClient) -> None:
        """See `Undo`. Raises RefusedError where the command fails, and UnavailableError where it takes too long."""
        del client  # Unused: the command knows the service.
        shown = shlex.join(self._command)
        try:
            ended = subprocess.run(
                self._command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=self._timeout
            )
        except OSError as error:
            raise RefusedError(f"--undo_command={shown} cannot be run: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"--undo_command={shown} took longer than {self._timeout:g} s") from None
        if ended.returncode:
            said = shortened((ended.stderr or ended.stdout)[-1000:])
            raise RefusedError(f"--undo_command={shown} ended with status {ended.returncode}: {said}")


class Replica:
    """A fresh service for each deletion: the deployed one is never changed.

    Args:
      command: starts a replica and prints its URL as the first line; it is ended, and its children, after the deletion.
        Its standard input is a pipe that closes when this process ends, however it ends.
      timeout: seconds until the URL is printed.
      on_start: told the client of each replica before anything is sent to it.
    """

    possible = True

    def __init__(
        self, command: str, *, timeout: float = 600.0, on_start: Callable[[HttpClient], object] = lambda _: None
    ):
        self._command, self._timeout, self._on_start = _words(command), timeout, on_start
        self._process: subprocess.Popen[str] | None = None

    def before(self, client: HttpClient) -> HttpClient:
        """See `Undo`. Raises RefusedError for a command that prints no URL."""
        shown = shlex.join(self._command)
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
            )
        except OSError as error:
            raise RefusedError(f"--undo_command={shown} cannot be run: {error.strerror}") from None
        try:
            replica = client.at(self._first_line())
        except (ValueError, OSError) as error:
            self._end()
            raise RefusedError(
                f"--undo_command={shown} prints no URL of a replica as its first line: {error}"
            ) from None
        self._on_start(replica)
        return replica

    def back(self, client: HttpClient) -> None:
        """See `Undo`: the replica is ended."""
        client.close()
        self._end()

    def _first_line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._process.stdout, selectors.EVENT_READ)
            if not waiting.select(self._timeout):
                raise ValueError(f"nothing was printed in {self._timeout:g} s")
        return self._process.stdout.readline().strip()

    def _end(self) -> None:
        if self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            began = time.monotonic()
            while self._process.poll() is None and time.monotonic() - began < 10:
                time.sleep(0.02)
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        self._process = None


class NoUndo:
    """There is no way back: one deletion can be sent, and the service has forgotten from then on."""

    possible = False

    def before(self, client: HttpClient) -> HttpClient:
        """See `Undo`: nothing is kept."""
        return client

    def back(self, client: HttpClient) -> None:
        """See `Undo`: nothing can be done."""


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"--undo_command={command} cannot be read as a command: {error}") from error
    if not words:
        raise ValueError("--undo_command is empty; expected a command")
    return words
