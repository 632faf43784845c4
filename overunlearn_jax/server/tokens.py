"""Tokens with owners. In memory and in logs there are none, only digests; their file is readable by its owner alone."""

import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from overunlearn_jax.server.refusals import RefusedError

ADMIN = "admin"
CLIENT = "client"
ROLES = (CLIENT, ADMIN)


class Holder(NamedTuple):
    """Who a token belongs to."""

    owner: str
    role: str  # of ROLES; an admin makes and restores snapshots


class Tokens:
    """Which token is whose, by digests.

    Args:
      holders: by token.

    Raises:
      ValueError: no token, one that is shorter than 16 characters, or an unknown role.
    """

    def __init__(self, holders: dict[str, Holder]):
        if not holders:
            raise ValueError("there are no tokens: nobody could ask for a deletion")
        for token, holder in holders.items():
            if len(token) < 16:
                raise ValueError(f"the token of {holder.owner} has {len(token)} characters; expected 16 or more")
            if holder.role not in ROLES:
                raise ValueError(f"the role of {holder.owner} is {holder.role!r}; expected one of {', '.join(ROLES)}")
        self._holders = {_digest(token): holder for token, holder in holders.items()}

    @property
    def owners(self) -> int:
        """How many owners there are, admins included; an owner may have several tokens."""
        return len({holder.owner for holder in self._holders.values()})

    def holder(self, authorization: str | None) -> Holder:
        """Whose the header is. Raises RefusedError 401 where there is none, or one that nobody has."""
        scheme, _, token = (authorization or "").strip().partition(" ")
        challenge = {"WWW-Authenticate": "Bearer"}
        if not authorization or scheme.lower() != "bearer":
            raise RefusedError(401, "unauthorized", "a token is missing: send Authorization: Bearer TOKEN", challenge)
        holder = self._holders.get(_digest(token.strip()))
        if holder is None:
            raise RefusedError(401, "unauthorized", "this token is not known here", challenge)
        return holder


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def read_or_make_tokens(path: Path, owners: Sequence[str]) -> dict[str, Holder]:
    """The tokens of a file; one for each owner and one for an admin are made where there is no file.

    The file is JSON, `{"TOKEN": {"owner": ..., "role": ...}}`, and only its owner may read it.

    Raises:
      ValueError: a file that holds something else.
    """
    if not path.exists():
        holders = {secrets.token_urlsafe(24): Holder(owner, CLIENT) for owner in owners}
        holders |= {secrets.token_urlsafe(24): Holder(ADMIN, ADMIN)}
        _write(path, json.dumps({token: holder._asdict() for token, holder in holders.items()}, indent=2))
    try:
        read = json.loads(path.read_text())
        return {str(token): Holder(str(each["owner"]), str(each["role"])) for token, each in read.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path} holds no tokens; expected {{"TOKEN": {{"owner": ..., "role": ...}}}}: mend it, or delete it and '
            "new ones are made"
        ) from error


def write_token_files(folder: Path, holders: Mapping[str, Holder]) -> list[str]:
    """Writes FOLDER/OWNER with a token of each owner, as --token_file takes it, and returns the owners.

    Only the user who writes them may read them. Files of owners that are gone are deleted.

    Args:
      folder: of these files alone.
      holders: by token; of several tokens of an owner the first is written.

    Raises:
      ValueError: an owner whose name cannot be a file's.
    """
    first: dict[str, str] = {}
    for token, holder in holders.items():
        if not re.fullmatch(r"\w[\w.@+-]*", holder.owner):
            raise ValueError(
                f"the owner {holder.owner!r} cannot name a file in {folder}; expected letters, digits and any of _.@+-"
            )
        first.setdefault(holder.owner, token)
    for owner, token in first.items():
        _write(folder / owner, f"{token}\n")
    for path in folder.iterdir():
        if path.name not in first:
            path.unlink()
    return list(first)


def _write(path: Path, text: str) -> None:
    """Writes a file, whole or not at all, that nobody else may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    os.replace(temporary, path)


def token_of(path: Path, owner: str) -> str:
    """The token of an owner in such a file. Raises ValueError where the file has none of that owner."""
    for token, holder in read_or_make_tokens(path, ()).items():
        if holder.owner == owner:
            return token
    raise ValueError(f"{path} has no token of {owner}")
