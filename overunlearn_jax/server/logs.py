"""What happens, as JSON lines. A line never holds a token, a header, a query string or a body."""

import contextlib
import datetime
import json
import threading
from typing import Any, Protocol, TextIO


class Log(Protocol):
    """Told what happens."""

    def __call__(self, event: str, **fields: Any) -> None:
        """`event` is a word; fields are numbers and short texts."""


def no_log(event: str, **fields: Any) -> None:
    """Drops what it is told."""
    del event, fields  # Unused: nobody reads along.


class JsonLines:
    """A line for each event on a text stream."""

    def __init__(self, stream: TextIO):
        self._stream, self._lock = stream, threading.Lock()

    def __call__(self, event: str, **fields: Any) -> None:
        """See `Log`."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": event, **fields}, default=str)
        with self._lock, contextlib.suppress(ValueError):  # closed: the process is about to end
            self._stream.write(f"{line}\n")
            self._stream.flush()
