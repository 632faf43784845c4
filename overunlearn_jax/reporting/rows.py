"""The results file: one finished cell of an experiment is one line of JSON.

One process writes a file at a time. A line is on the disk before `append_row` returns, so that a killed run
loses at most the cell it was working on. Its last key is a digest of all others; lines of older versions have none.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

from overunlearn_jax.digests import sealed, unsealed
from overunlearn_jax.files import append_lines, json_text
from overunlearn_jax.reporting.row import ACCURACY_KEYS, REQUIRED_KEYS, WALL_TIMES, Row


def append_row(path: str | os.PathLike[str], row: Mapping[str, Any]) -> None:
    """Adds one row as one line, on the disk (flushed and synced) when this returns.

    Half a line left at the end by a killed run is removed first. Missing folders are made. NumPy numbers and
    arrays are written as plain JSON. Keys beyond `REQUIRED_KEYS` are kept.

    Raises:
      ValueError: if a required key is missing, a number is NaN or infinite (write null instead), or an
        accuracy lies outside [0, 1]. The file is then untouched.
      OSError: if the line cannot be written, for instance on a full disk; rows written before are safe.
    """
    line = (_row_line(row) + "\n").encode()
    target = Path(path)
    try:
        append_lines(target, line, _is_row)
    except OSError as error:
        message = (
            f"this row could not be added ({error.strerror or error}). The rows already in the file are "
            "safe: remove the cause (a full disk needs room) and start the same command again"
        )
        raise OSError(error.errno, message, str(target)) from error


def read_rows(path: str | os.PathLike[str]) -> list[Row]:
    """Returns the rows of a file in the order they were written, without their digests.

    Half a line at the end, as a killed run leaves it, is dropped; the next `append_row` removes it from
    the file. A cell that stands there again, equal but for its wall times, is left out: two runs wrote it.

    Raises:
      ValueError: if a complete line is not a valid row, or not as it was written; the message names the file and the
        line.
      OSError: if the file cannot be read.
    """
    *lines, tail = Path(path).read_bytes().split(b"\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(_parsed(line))
        except ValueError as error:
            raise ValueError(
                f"{os.fspath(path)}, line {number} is not a results row: {error} "
                "Delete that line and start the same command again: only the cell it held is missing then."
            ) from error
    if _is_row(tail):
        rows.append(_parsed(tail))
    return _once(rows)


def _once(rows: list[Row]) -> list[Row]:
    """The rows without those that repeat an earlier one of their cell; those that contradict it stay."""
    first: dict[str, dict[str, Any]] = {}
    kept = []
    for row in rows:
        measured = {key: value for key, value in row.items() if key not in WALL_TIMES}
        if first.setdefault(row["cell"], measured) is measured or first[row["cell"]] != measured:
            kept.append(row)
    return kept


def _row_line(row: Mapping[str, Any]) -> str:
    for key, value in row.items():
        try:
            json_text(value)
        except ValueError as error:
            raise ValueError(f"{key} holds a number that is NaN or infinite ({value}): write null.") from error
    line = json_text(sealed(row))
    _parsed(line.encode())
    return line


def _is_row(line: bytes) -> bool:
    try:
        _parsed(line)
    except ValueError:
        return False
    return True


def _parsed(line: bytes) -> Row:
    """Returns the row that a line holds; ValueError, saying why, if it holds none."""
    row = json.loads(line.decode(), parse_constant=_refuse_constant)
    if not isinstance(row, dict):
        raise ValueError(f"a row is a JSON object, not a {type(row).__name__}.")
    missing = [key for key in REQUIRED_KEYS if key not in row]
    if missing:
        raise ValueError(f"the row lacks {', '.join(missing)}.")
    for key in ACCURACY_KEYS:
        value = row[key]
        if value is not None and not (isinstance(value, int | float) and 0.0 <= value <= 1.0):
            raise ValueError(f"{key} must be a fraction between 0 and 1 or null, got {value!r}.")
    return cast(Row, unsealed(row))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a finite number.")
