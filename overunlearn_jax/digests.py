"""Digests of what is read again: a flipped bit or a changed digit is found, and nothing is computed with it.

JSON, a whole file or one row of results, has its digest as its last key, and stays readable. A folder, such as a
checkpoint, has a file with the digests of all others, written before the folder gets its name. Files in NumPy's .npz
bring a CRC-32 of each array, which `files.read_npz` checks whole. A digest finds damage; it is no signature.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overunlearn_jax.files import json_text, settings_hash, write_bytes

DIGEST = "digest"  # the key in JSON
DIGESTS = "digests.json"  # the file in a folder


class DamagedError(ValueError):
    """A file is not as it was written."""


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """`value` as plain JSON with a digest of all of it behind; any older digest is replaced.

    Examples:
      >>> sealed({"seed": 0})
      {'seed': 0, 'digest': 'd8044728dde11288'}
    """
    plain = json.loads(json_text({key: each for key, each in value.items() if key != DIGEST}))
    return {**plain, DIGEST: settings_hash(plain)}


def unsealed(value: Mapping[str, Any], *, required: bool = False) -> dict[str, Any]:
    """What `sealed` was given. Without a digest, as older versions wrote it, `value` is accepted unless `required`.

    Raises:
      DamagedError: a ValueError, where the digest is another, or its key was damaged.
    """
    plain = {key: each for key, each in value.items() if key != DIGEST}
    if DIGEST in value:
        if value[DIGEST] != settings_hash(plain):
            raise DamagedError("its digest is not that of what it says: it was changed since it was written")
        return plain
    last = next(reversed(plain), None)
    if last is not None and plain[last] == settings_hash({key: plain[key] for key in plain if key != last}):
        raise DamagedError(f"its digest stands under the key {last!r}: it was changed since it was written")
    if required:
        raise DamagedError("it has no digest")
    return plain


def sealed_text(value: Mapping[str, Any]) -> str:
    """Indented JSON with a digest, for a file."""
    return json_text(sealed(value), indent=2) + "\n"


def read_sealed(path: str | Path, remedy: str, *, required: bool = False) -> dict[str, Any]:
    """Reads a JSON object that `sealed_text` made, or, unless `required`, one without a digest.

    Raises:
      DamagedError: a ValueError, naming the file and `remedy`, what is no JSON object and where the digest is another.
      OSError: where the file cannot be read.
    """
    content = Path(path).read_bytes()
    try:
        value = json.loads(content.decode())
        if not isinstance(value, dict):
            raise DamagedError(f"it holds a {type(value).__name__}; expected a JSON object")
        return unsealed(value, required=required)
    except ValueError as error:
        raise DamagedError(f"{path} is damaged, or another file ({error}): {remedy}") from error


def write_digests(folder: Path) -> None:
    """Adds to a folder the digests of all files in it. Raises OSError where that cannot be written."""
    write_bytes(folder / DIGESTS, sealed_text(_digests(folder)).encode())


def check_digests(folder: Path) -> bool:
    """Whether a folder has digests; without any, an older version wrote it.

    Raises:
      DamagedError: a ValueError, naming the first file that is missing or not as it was written.
    """
    if not (folder / DIGESTS).exists():
        return False
    noted, found = read_sealed(folder / DIGESTS, "it tells nothing of the others", required=True), _digests(folder)
    for name in noted:
        if noted[name] != found.get(name):
            raise DamagedError(f"{name} {'is not as it was written' if name in found else 'is missing'}")
    return True


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / DIGESTS)
    return {
        path.relative_to(folder).as_posix(): hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        for path in files
    }
