"""The command `overunlearn`: sub-commands, grouped help, Ctrl-C, closed pipes and errors in a line or less. Imports no
JAX.

All else is imported where Ctrl-C already is one line.
"""

import sys
from typing import NoReturn

from experiments.command.interrupts import INTERRUPTED, NO_VERDICT, STOPPED, interruptible
from experiments.command.streams import unbreakable_streams


def main() -> NoReturn:
    """`overunlearn SUBCOMMAND ...`."""
    with interruptible(_status(sys.argv[1:2]), lambda: STOPPED), unbreakable_streams():
        from experiments.command.dispatch import dispatch

        dispatch(sys.argv[1:])


def start(name: str, program: str) -> NoReturn:
    """The sub-command `name`, started as `python -m MODULE` or under another name: `program`."""
    with interruptible(_status([name]), lambda: STOPPED), unbreakable_streams():
        from experiments.command.dispatch import subcommand
        from experiments.command.launch import launch

        launch(subcommand(name), program, sys.argv[1:])


def _status(name: list[str]) -> int:
    return NO_VERDICT if name == ["audit"] else INTERRUPTED
