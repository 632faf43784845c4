"""The command `overunlearn`: sub-commands, grouped help, Ctrl-C, closed pipes and errors in a line. Imports no JAX.

All else is imported where Ctrl-C already is one line.
"""

import atexit
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from experiments.command.interrupts import INTERRUPTED, NO_VERDICT, STOPPED, interruptible, keep_status
from experiments.command.streams import unbreakable_streams


def main() -> NoReturn:
    """`overunlearn SUBCOMMAND ...`."""
    with _told_in_a_line(sys.argv[1:2]):
        from experiments.command.dispatch import dispatch

        dispatch(sys.argv[1:])


def start(name: str, program: str) -> NoReturn:
    """The sub-command `name`, started as `python -m MODULE` or under another name: `program`."""
    with _told_in_a_line([name]):
        from experiments.command.dispatch import subcommand
        from experiments.command.launch import launch

        launch(subcommand(name), program, sys.argv[1:])


@contextmanager
def _told_in_a_line(name: list[str]) -> Iterator[None]:
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # the first one in is called last: Python's own end
    try:
        with interruptible(NO_VERDICT if name == ["audit"] else INTERRUPTED, lambda: STOPPED), unbreakable_streams():
            yield
    except SystemExit as left:
        keep_status(left)
        raise
