"""Versions of the model in the journal: which come from which, what each has forgotten, and which one answers."""

import json
import secrets
import sqlite3
import time
from collections.abc import Collection, Mapping
from typing import NamedTuple

from overunlearn_jax.server.journal import Journal
from overunlearn_jax.server.queue import COMPLETED, UNDONE, end


class OvertakenError(RuntimeError):
    """The version that a deletion began from does not answer any more."""


class UnknownVersionError(KeyError):
    """There is no such version or snapshot, or its file is gone."""


class Version(NamedTuple):
    """A version of the model, on record."""

    number: int
    digest: str  # of its weights
    forgotten: frozenset[int]  # `Split.ids` of the training samples that it and its ancestors have forgotten


class Outcome(NamedTuple):
    """How a deletion ended well."""

    deletion: str
    matched: int | None  # training samples; None: the method does not say
    seconds: float
    error: str | None  # samples that gates refused


class Lineage:
    """The tables of versions, changes and snapshots."""

    def __init__(self, journal: Journal):
        self._journal = journal

    def current(self) -> Version | None:
        """The version that answers; None before there is one."""
        rows = self._journal.rows("SELECT version FROM changes ORDER BY number DESC LIMIT 1")
        return self.version(rows[0][0]) if rows else None

    def version(self, number: int) -> Version:
        """A version whose file is kept. Raises UnknownVersionError."""
        found = self._journal.rows("SELECT * FROM versions WHERE version = ? AND has_file", number)
        if not found:
            raise UnknownVersionError(f"there is no version {number}, or its file is not kept any more")
        digest, forgotten, row = found[0]["digest"], set(json.loads(found[0]["forgotten"])), found[0]
        while row["parent"] is not None:
            [row] = self._journal.rows("SELECT * FROM versions WHERE version = ?", row["parent"])
            forgotten |= set(json.loads(row["forgotten"]))
        return Version(number, digest, frozenset(forgotten))

    def next_number(self) -> int:
        """Of the next version: numbers are never used again."""
        return int(self._journal.rows("SELECT COALESCE(MAX(version), 0) + 1 FROM versions")[0][0])

    def begin(self, digest: str) -> Version:
        """Notes the model as it was trained."""
        with self._journal.transaction() as connection:
            connection.execute("INSERT INTO versions VALUES (1, NULL, ?, '[]', NULL, ?, 1)", (digest, time.time()))
            connection.execute("INSERT INTO changes(version, why, at) VALUES (1, 'trained', ?)", (time.time(),))
        return Version(1, digest, frozenset())

    def complete(self, base: Version, new: Version | None, outcome: Outcome) -> None:
        """In one transaction: the new version is there and answers, and its deletion is completed.

        Without a new version the base's model has forgotten everything already. Raises OvertakenError, and notes
        nothing, where another version than the base answers by now.
        """
        with self._journal.transaction() as connection:
            answers = connection.execute("SELECT version FROM changes ORDER BY number DESC LIMIT 1").fetchone()[0]
            if answers != base.number:
                raise OvertakenError(f"version {answers} answers, and not {base.number}")
            if new is not None:
                connection.execute(
                    "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, 1)",
                    (
                        new.number,
                        base.number,
                        new.digest,
                        json.dumps(sorted(new.forgotten - base.forgotten)),
                        outcome.deletion,
                        time.time(),
                    ),
                )
                connection.execute(
                    "INSERT INTO changes(version, why, at) VALUES (?, ?, ?)",
                    (new.number, f"deletion {outcome.deletion}", time.time()),
                )
            number = base.number if new is None else new.number
            end(connection, outcome.deletion, COMPLETED, number, outcome.error, outcome.matched, outcome.seconds)

    def take_snapshot(self) -> str:
        """Names the version that answers, whose file is then kept."""
        with self._journal.transaction() as connection:
            name = secrets.token_hex(8)
            connection.execute(
                "INSERT INTO snapshots SELECT ?, version, ? FROM changes ORDER BY number DESC LIMIT 1",
                (name, time.time()),
            )
        return name

    def of_snapshot(self, snapshot: str) -> Version:
        """The version that a snapshot names. Raises UnknownVersionError."""
        found = self._journal.rows("SELECT version FROM snapshots WHERE id = ?", snapshot)
        if not found:
            raise UnknownVersionError(f"there is no snapshot {snapshot}")
        return self.version(found[0][0])

    def go_back(self, version: Version, why: str) -> None:
        """Notes that another version answers again, and that deletions are undone of which it knows nothing."""
        with self._journal.transaction() as connection:
            connection.execute(
                "INSERT INTO changes(version, why, at) VALUES (?, ?, ?)", (version.number, why, time.time())
            )
            ancestry = connection.execute(
                "WITH RECURSIVE ancestry(version, parent, deletion) AS ("
                "SELECT version, parent, deletion FROM versions WHERE version = ? UNION ALL "
                "SELECT v.version, v.parent, v.deletion FROM versions v JOIN ancestry a ON v.version = a.parent) "
                "SELECT version, deletion FROM ancestry",
                (version.number,),
            )
            _note_what_stands(connection, {row["version"]: row["deletion"] for row in ancestry})

    def drop_files(self, keep: int) -> Collection[int]:
        """Notes that old versions have no file any more, and returns them.

        Those that answer, that a snapshot names, and the `keep` newest others are kept.
        """
        with self._journal.transaction() as connection:
            rows = connection.execute(
                "SELECT version FROM versions WHERE has_file AND version NOT IN (SELECT version FROM snapshots) AND "
                "version NOT IN (SELECT version FROM changes ORDER BY number DESC LIMIT 1) "
                "ORDER BY version DESC LIMIT -1 OFFSET ?",
                (keep,),
            ).fetchall()
            dropped = [row[0] for row in rows]
            connection.executemany("UPDATE versions SET has_file = 0 WHERE version = ?", [(row,) for row in dropped])
        return dropped

    def with_files(self) -> set[int]:
        """Versions whose files are kept."""
        return {row[0] for row in self._journal.rows("SELECT version FROM versions WHERE has_file")}


def _note_what_stands(connection: sqlite3.Connection, ancestry: Mapping[int, str | None]) -> None:
    """Inside a transaction that brings a version back: which deletions it has done, and which are undone by it.

    `ancestry`: the version and all that it comes from, by number, with the deletion that made each. A deletion that was
    undone, and that the version has done, is completed again.
    """
    made = {deletion: number for number, deletion in ancestry.items()}
    changed = []
    for row in connection.execute(
        "SELECT id, status, model_version FROM deletions WHERE status IN (?, ?)", (COMPLETED, UNDONE)
    ):
        number = made.get(row["id"], row["model_version"])
        status = COMPLETED if number in ancestry else UNDONE
        if (status, number) != (row["status"], row["model_version"]):
            changed.append((status, number, row["id"]))
    connection.executemany("UPDATE deletions SET status = ?, model_version = ? WHERE id = ?", changed)
