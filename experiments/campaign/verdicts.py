"""What became of a trial: the right rows or a clear error, or one of five defects."""

import enum
import re
from typing import NamedTuple


class Verdict(enum.StrEnum):
    """The first two are right; all others are defects."""

    UNHARMED = "unharmed"  # ended with the rows of an undisturbed run
    REFUSED = "refused"  # ended with an error in a line
    WRONG = "silently wrong"  # ended well, with other rows
    LOST = "lost"  # finished work is gone, or no start ends well any more
    UNCLEAR = "unclear"  # ended badly, and no line says why, or what of
    TRACEBACK = "traceback"  # a stack trace of ours
    HANG = "hang"  # did not end in time

    @property
    def is_defect(self) -> bool:
        """Whether somebody has to mend something."""
        return self not in (Verdict.UNHARMED, Verdict.REFUSED)


class Trial(NamedTuple):
    """One fault, and what became of it."""

    kind: str  # of fault: "kills"
    what: str  # was done, for people
    verdict: Verdict
    detail: str = ""  # of a defect: what was printed


class Ended(NamedTuple):
    """A command that has ended, or was ended."""

    status: int | None  # None: it did not end in time; negative: by that signal
    printed: str  # standard error


ERROR_LINE = re.compile(r"^(error: |FATAL Flags parsing error)", re.MULTILINE)
TRACE = "Traceback (most recent call last)"


def of_ended(ended: Ended, *, users_code: bool = False) -> Verdict:
    """What to think of a command by its end alone. `users_code`: a stack trace of a user's own code is welcome."""
    if ended.status is None:
        return Verdict.HANG
    if TRACE in ended.printed and not users_code:
        return Verdict.TRACEBACK
    if ended.status == 0:
        return Verdict.UNHARMED
    return Verdict.REFUSED if ended.status > 0 and ERROR_LINE.search(ended.printed) else Verdict.UNCLEAR
