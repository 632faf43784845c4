"""Records of a measurement that may be killed: a line of JSON each, with a digest, found again at the next start."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.config import DEFAULTS, Config
from experiments.run.outputs import PLACES
from overunlearn_jax.digests import sealed, unsealed
from overunlearn_jax.files import append_lines, json_text
from overunlearn_jax.reporting import manifest

Record = dict[str, Any]


def append_records(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Adds the records, all of them or none, on the disk when this returns.

    Raises ValueError for NaN and infinity, for which null is written, and OSError where the disk refuses.
    """
    append_lines(path, "".join(f"{json_text(sealed(each))}\n" for each in records).encode(), _is_record)


def read_records(path: Path) -> list[Record]:
    """The records in their order; none where there is no file. What a kill left of a last line is passed over.

    Raises ValueError, naming the file and the line, for one that is not as it was written.
    """
    *lines, tail = path.read_bytes().split(b"\n") if path.exists() else [b""]
    records = []
    for number, line in enumerate([*lines, *([tail] if _is_record(tail) else [])], start=1):
        try:
            records.append(_parsed(line))
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number} is damaged ({error}): delete that line, and start the same command again"
            ) from error
    return records


def _is_record(line: bytes) -> bool:
    try:
        _parsed(line)
    except ValueError:
        return False
    return True


def _parsed(line: bytes) -> Record:
    value = json.loads(line.decode())
    if not isinstance(value, dict):
        raise ValueError(f"it holds a {type(value).__name__}; expected a JSON object")
    return unsealed(value)


def records_of(path: Path, settings: str) -> list[Record]:
    """The records of a file that holds those of one run alone; `settings` is their hash.

    Raises ValueError for a file with records of other settings, and as `read_records` does.
    """
    known = read_records(path)
    if any(record["settings"] != settings for record in known):
        raise ValueError(f"{path} holds records of other settings: give another --workdir")
    return known


def provenance(command: str) -> dict[str, str]:
    """What a record was made with: the commit, and whether the tree had changes; the command; the device."""
    import jax  # after the flags: --help and wrong flags answer at once

    made = manifest()
    commit = f"{made['git_commit']}{' and changes' if made['git_dirty'] else ''}"
    kind = jax.devices()[0].device_kind
    return {"commit": commit, "command": command, "device": str(made["cpu"] if kind == "cpu" else kind)}


def device_of(record: Record) -> str:
    """What a record was computed on; older records have it under another name."""
    return str(record["device"] if "device" in record else record["cpu"])


def joined(rows: Sequence[Record], name: str) -> str:
    """The values of one field, each once, in their order.

    >>> joined([{"seed": 2}, {"seed": 0}, {"seed": 2}], "seed")
    '2, 0'
    """
    values = map(device_of, rows) if name == "device" else (str(row[name]) for row in rows)
    return ", ".join(dict.fromkeys(values))


def seeds_of(rows: Sequence[Record]) -> str:
    """The seeds, rising."""
    return ", ".join(map(str, sorted({row["seed"] for row in rows})))


def made(rows: Sequence[Record]) -> str:
    """How records were made, as a sentence of a page."""
    return f"Made at commit {joined(rows, 'commit')} on {joined(rows, 'device')} by `{joined(rows, 'command')}`."


def changed_settings(config: Config) -> dict[str, Any]:
    """All that is not a default and decides what is measured: records of one file share it.

    A setting that comes later with a default that changes nothing leaves it as it is.
    """
    kept = (*PLACES, "seeds", "experiment")
    return {name: value for name, value in config.flat().items() if name not in kept and value != DEFAULTS[name]}
