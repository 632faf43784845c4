"""A user's service in a process of its own: it may hang, write without end or leave, and the audit goes on to say so.

with ServiceProcess("my_module:Service", train, log=Path("service.log"), timeout=600) as remote:
    remote.predict(images)
"""

import contextlib
import os
import threading
import traceback
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from overunlearn_jax.services.training_argument import made_with, training_argument
from overunlearn_jax.types import DeletionRefusedError, DivergedError, Split
from overunlearn_jax.user_code import UserCodeError, import_named, source_digest

LOGGED = 1 << 20  # bytes of what the service prints that are kept
STARTING = 600.0  # seconds, at least, that importing and making the service may take
LAST_WORDS = 20  # lines of what it printed that are shown where its process ended
_OURS = {__file__, training_argument.__code__.co_filename, import_named.__code__.co_filename}  # files
_PASSED = {"diverged": DivergedError, "refused": DeletionRefusedError}  # what says something of a request
_service: Any = None  # in the process of its own


class RemoteError(Exception):
    """What happened in the service's process: its message is the traceback of the service's code."""


class ServiceProcess:
    """The object that `my_module:Service` makes, in a process of its own, called as if it were here.

    Args:
      name: of a class or function, called with the training data if it has a `training_argument`.
      train: that data.
      log: file that gets the first MiB of what the service prints.
      timeout: seconds that one call may take; importing and making the service may take `STARTING` at least.
    """

    def __init__(self, name: str, train: Split, log: Path, timeout: float):
        self._name, self._timeout, self._ended = name, max(timeout, STARTING), ""
        self._log, self._pipe = log, log.with_suffix(".pipe")
        context = get_context("spawn")
        self._calls, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        try:
            self._reader = _start_logging(self._pipe, log)
            wants = self._call("import", _import, name, str(self._pipe))
            self.source: str = self._call("import", _source, name)
            self.pixels = self._call("making the service", _make, name, train if wants else None)
        except BaseException:
            self.close()
            raise
        self._timeout = timeout

    def predict(self, images: np.ndarray) -> np.ndarray:
        """What the service answers.

        Args:
          images: shape=(n, h, w, c), dtype=float32, or the service's own format.

        Returns:
          shape=(n, k).
        """
        answer: np.ndarray = self._call("predict(images)", _predict, images)
        return answer

    def forget(self, images: np.ndarray, labels: np.ndarray) -> object:
        """Has the service forget.

        Args:
          images: shape=(n, h, w, c), dtype=float32, or the service's own format.
          labels: shape=(n,), dtype=int64.

        Returns:
          What it returned; None where that cannot be sent.
        """
        return self._call("forget(images, labels)", _forget, images, labels)

    def reset(self) -> None:
        """Has the service bring itself back; a process that has ended holds nothing that could be."""
        if not self._ended:
            self._call("reset()", _reset)

    def __enter__(self) -> "ServiceProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.join()
        self._calls.close()
        with contextlib.suppress(OSError):
            self._pipe.unlink()

    def _call(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """One call over there.

        Raises:
          UserCodeError: what the service raised, a call that took too long or a process that ended.
          DivergedError, DeletionRefusedError: as they are.
        """
        if self._ended:
            raise UserCodeError(self._ended)
        try:
            self._calls.send((function, arguments))
            if not wait([self._calls], self._timeout):
                raise self._end(
                    f"{what} took longer than {self._timeout:g} s and was ended: raise --service_timeout, or find out "
                    "why it hangs"
                )
            kind, value = self._calls.recv()
        except (EOFError, OSError):
            self._process.join(1)
            status, said = self._process.exitcode, self._last_words()
            raise self._end(
                f"its process ended in {what}, with exit status {status}: a service must not leave; what it printed is "
                f"in {self._log}"
            ) from (RemoteError(said) if said else None)
        if kind in _PASSED:
            raise _PASSED[kind](value)
        if kind == "raised":
            message, trace = value
            about = "" if message.startswith("--service=") else f"--service={self._name}: {what} raised "
            raise UserCodeError(f"{about}{message}") from (RemoteError(trace) if trace else None)
        return value

    def _last_words(self) -> str:
        """The last lines that the process printed: a traceback, where Python could still write one."""
        self._reader.join(1)  # at the end of the pipe
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "\n".join(line[:400] for line in lines[-LAST_WORDS:])

    def _end(self, why: str) -> UserCodeError:
        self._ended = f"--service={self._name}: {why}"
        self._process.kill()
        return UserCodeError(self._ended)


def _serve(calls: Connection) -> None:
    """The loop of the process: takes calls until nobody makes any."""
    with contextlib.suppress(EOFError):
        while True:
            function, arguments = calls.recv()
            calls.send(function(*arguments))


def _start_logging(pipe: Path, log: Path) -> threading.Thread:
    """Reads what the service's process prints: keeps the first of it, and drops the rest."""
    pipe.parent.mkdir(parents=True, exist_ok=True)
    for old in (pipe, log):  # of an earlier process
        old.unlink(missing_ok=True)
    os.mkfifo(pipe)

    def read() -> None:
        left = LOGGED
        with open(pipe, "rb") as source, open(log, "wb") as kept:
            while part := source.read1(1 << 16):
                kept.write(part[:left])
                kept.flush()
                left = max(0, left - len(part))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    return reader


def _caught(function: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "returned", function()
    except tuple(_PASSED.values()) as error:
        return next(kind for kind, passed in _PASSED.items() if isinstance(error, passed)), str(error)
    except (Exception, SystemExit) as error:
        own = str(error).startswith("--service=")  # from here: it says already what is wrong
        return "raised", (str(error) if own else f"{type(error).__name__}: {error}", _trace(error, own))


def _trace(error: BaseException, own: bool) -> str:
    """The traceback in the service's code, without the frames of ours that led there; empty where none of it failed."""
    if own and not isinstance(error, UserCodeError):
        return ""
    failed = error.__cause__ or error if own else error
    trace = failed.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in _OURS:
        trace = trace.tb_next
    return "".join(traceback.format_exception(failed.with_traceback(trace)))


def _import(name: str, pipe: str) -> tuple[str, Any]:
    """Imports what makes the service; returns whether it wants the training data."""
    output = os.open(pipe, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(output, number)

    def load() -> bool:
        global _service
        _service = import_named(name, "--service=")
        if not callable(_service):
            raise ValueError(
                f"--service={name} is a {type(_service).__name__}; expected a class, or a function that makes an object"
            )
        return training_argument(_service) is not None

    return _caught(load)


def _source(name: str) -> tuple[str, Any]:
    """A digest of the source files that the name stands for: another one is another way to forget."""
    return _caught(lambda: source_digest(name, "--service="))


def _make(name: str, train: Split | None) -> tuple[str, Any]:
    """Makes the service; returns its pixel format."""

    def make() -> Any:
        global _service
        _service = made_with(_service, train)
        missing = [each for each in ("predict", "forget", "reset") if not callable(getattr(_service, each, None))]
        if missing:
            raise ValueError(
                f"--service={name} has no {', '.join(missing)}; expected predict(images), forget(images, labels), "
                "reset()"
            )
        return getattr(_service, "pixels", None)

    return _caught(make)


def _predict(images: np.ndarray) -> tuple[str, Any]:
    return _caught(lambda: np.asarray(_service.predict(images)))


def _forget(images: np.ndarray, labels: np.ndarray) -> tuple[str, Any]:
    def forget() -> Any:
        returned = _service.forget(images, labels)
        return returned if returned is None else f"{type(returned).__name__}"

    return _caught(forget)


def _reset() -> tuple[str, Any]:
    def reset() -> None:
        _service.reset()

    return _caught(reset)
