"""Ctrl-C in one line, wherever the program is: in Python, in an import, in a compilation that hears no signal.

Files are written whole or not at all, and a run may be killed at any time: nothing has to be saved first.
"""

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

INTERRUPTED = 130  # exit status, as shells have it
NO_VERDICT = 2  # exit status of an audit that has none
STOPPED = "stopped: the same command goes on where it was"
SECONDS_TO_LEAVE = 2.0  # for services to be brought back and processes to be ended; a compilation would take longer


interrupted = threading.Event()  # whether there was a Ctrl-C: what fails from then on fails because of it
_leaving = threading.Lock()


@contextmanager
def interruptible(status: int, line: Callable[[], str]) -> Iterator[None]:
    """Around a program: Ctrl-C ends the process with `status`, and with `line()` on the standard error.

    KeyboardInterrupt has two seconds to leave the block, in which a second Ctrl-C ends them. What a library makes of
    it (an error of its own, a traceback, nothing at all) changes nothing. None is raised in an import: modules in C
    crash on it. Outside the main thread, or where Ctrl-C was switched off before (`nohup`, a job in the background of
    a script), this does nothing.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        yield
        return

    def quiet(hook: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: Any) -> None:
            if not interrupted.is_set():
                hook(*arguments)

        return call

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number  # Unused: there is one signal.
        interrupted.set()
        if _in_an_import(frame):
            _leave(status, line())
        raise KeyboardInterrupt

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    old_handler = signal.signal(signal.SIGINT, on_signal)
    hooks = sys.excepthook, sys.unraisablehook
    sys.excepthook, sys.unraisablehook = quiet(hooks[0]), quiet(hooks[1])  # JAX's callbacks call the latter
    old_writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, status, line), daemon=True).start()
    try:
        yield
    except BaseException:
        if interrupted.is_set():
            _leave(status, line())
        raise
    finally:
        signal.set_wakeup_fd(old_writer)
        signal.signal(signal.SIGINT, old_handler)
        sys.excepthook, sys.unraisablehook = hooks
        os.close(writer)  # ends the watch


def keep_status(left: SystemExit) -> None:
    """From here on Ctrl-C leaves the status that a program has ended with: Python may still take a while."""
    status = left.code if isinstance(left.code, int) else int(left.code is not None)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, lambda *_: os._exit(status))


def _watch(reader: int, status: int, line: Callable[[], str]) -> None:
    """Ends the process where the main thread does not hear of the signal: it reads what the C handler writes."""
    while numbers := os.read(reader, 64):
        if signal.SIGINT in numbers:
            select.select([reader], [], [], SECONDS_TO_LEAVE)
            _leave(status, f"\n{line()}")  # a progress bar has no line end
    os.close(reader)


def _in_an_import(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave(status: int, line: str) -> None:
    """Ends the process at once: at its usual end Python would wait for what JAX still computes."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not _leaving.acquire(timeout=1):  # for good: one line
        os._exit(status)
    if "multiprocessing" in sys.modules:
        for child in sys.modules["multiprocessing"].active_children():
            child.kill()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, or just being written to
            stream.flush()
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode())
    os._exit(status)
