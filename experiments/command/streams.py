"""Standard output and error that nobody reads any more (`| head`), or that were closed: the program goes on."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class _Unbreakable:
    """A text stream that drops what it is given once its pipe, or its file descriptor, is closed."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As of any text stream."""
        with self._dropping():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As of any text stream."""
        with self._dropping():
            self._stream.flush()

    def close(self) -> None:
        """Leaves it open: a user's function that closes it closes it for all that is still to be said."""
        self.flush()

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EBADF):  # nobody reads; a user's function has closed it
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # what is buffered goes there, too
            os.close(nowhere)


@contextmanager
def unbreakable_streams() -> Iterator[None]:
    """Around a program: no print and no progress bar fails because of a closed pipe.

    A run of hours and the status of an audit do not hang on who reads along: what is printed is in files, too.
    """
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Unbreakable(streams[0]), _Unbreakable(streams[1])
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError):  # closed by the program itself
                stream.flush()
        sys.stdout, sys.stderr = streams
