"""Writing a whole file or nothing, reading it only as it was written, and turning NumPy values into JSON."""

import hashlib
import io
import json
import os
import uuid
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np


def write_bytes(path: str | os.PathLike[str], data: bytes) -> Path:
    """Writes `data` to `path` so that a reader sees the old file or the whole new one, never a half.

    Missing folders are made. Returns the path.

    Raises:
      OSError: if the file cannot be written; the old file, if any, is then untouched.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        message = f"cannot be written ({error.strerror or error}): make room or give another folder, and start again"
        raise OSError(error.errno, message, str(target)) from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


def append_lines(path: str | os.PathLike[str], lines: bytes, is_whole: Callable[[bytes], bool]) -> None:
    """Adds lines, each with its line break, at the end of a file: all of them, on the disk, or none.

    What a killed process left of a line is removed first; `is_whole` says of a last line without a line break whether
    it lacks that alone. Missing folders are made. One process writes a file at a time.

    Raises:
      OSError: where the disk refuses; what was in the file is safe.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        _append(descriptor, lines, is_whole)
    finally:
        os.close(descriptor)


def _append(descriptor: int, lines: bytes, is_whole: Callable[[bytes], bool]) -> None:
    end = os.lseek(descriptor, 0, os.SEEK_END)
    content = b""
    if end:
        os.lseek(descriptor, end - 1, os.SEEK_SET)
        if os.read(descriptor, 1) != b"\n":
            os.lseek(descriptor, 0, os.SEEK_SET)
            with os.fdopen(os.dup(descriptor), "rb") as file:
                content = file.read()
    tail = content.rpartition(b"\n")[2]
    if tail and is_whole(tail):
        lines = b"\n" + lines
    elif tail:
        end -= len(tail)
        os.ftruncate(descriptor, end)
    try:
        written = 0
        while written < len(lines):
            written += os.write(descriptor, lines[written:])
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def write_npz(path: str | os.PathLike[str], **arrays: Any) -> Path:
    """Writes arrays by name as NumPy's .npz, the whole file or nothing, and returns the path.

    Raises:
      OSError: if the file cannot be written.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return write_bytes(path, buffer.getvalue())


def read_npz(path: str | os.PathLike[str], names: Collection[str], remedy: str) -> dict[str, np.ndarray]:
    """Reads the arrays `names` that `write_npz` wrote, each with all of its bytes and the right CRC-32.

    `numpy.load` reads as many bytes as an array's header asks for, and checks no CRC where they are too few.

    Raises:
      ValueError: naming the file and `remedy`, if it is damaged or holds other arrays.
      OSError: if the file cannot be read.
    """
    content = Path(path).read_bytes()
    arrays: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                file = io.BytesIO(archive.read(member))
                arrays[member.filename.removesuffix(".npy")] = np.lib.format.read_array(file, allow_pickle=False)
                if file.read(1):
                    raise ValueError(f"{member.filename} is longer than its header says")
        if arrays.keys() != set(names):
            raise ValueError(f"it holds {', '.join(sorted(arrays))}; expected {', '.join(sorted(names))}")
    except Exception as error:  # zipfile and NumPy raise more than ten kinds for a damaged file
        raise ValueError(f"{os.fspath(path)} is damaged ({error}): {remedy}") from error
    return arrays


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Returns strict JSON text of `value`; NumPy numbers and arrays and paths are written as plain JSON.

    Raises:
      ValueError: if a number in it is NaN or infinite, which JSON cannot hold.
      TypeError: if it holds anything else that JSON cannot hold.
    """
    return json.dumps(value, allow_nan=False, ensure_ascii=False, indent=indent, default=_plain)


def write_json(path: str | os.PathLike[str], value: Any) -> Path:
    """Writes `value` as indented JSON, the whole file or nothing, and returns the path.

    Raises:
      ValueError, TypeError: as `json_text` does.
      OSError: if the file cannot be written.
    """
    return write_bytes(path, (json_text(value, indent=2) + "\n").encode())


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"JSON cannot hold a {type(value).__name__}: {value!r}.")


def settings_hash(settings: Mapping[str, object]) -> str:
    """16 hexadecimal digits that change with any setting."""
    return hashlib.blake2b(json.dumps(dict(settings), sort_keys=True).encode(), digest_size=8).hexdigest()
