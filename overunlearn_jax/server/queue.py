"""Deletions in the journal: received, waiting, under way, ended. What was submitted is erased once one has ended."""

import json
import secrets
import sqlite3
import time
from typing import Any, NamedTuple

from overunlearn_jax.server.journal import Journal
from overunlearn_jax.server.payloads import Payload, packed, unpacked

PENDING, IN_PROGRESS, COMPLETED, CANCELLED, FAILED, UNDONE = STATUSES = (
    "pending",
    "in_progress",
    "completed",
    "cancelled",
    "failed",
    "undone",  # completed, until an earlier version was brought back
)


class QueueFullError(RuntimeError):
    """As many deletions wait as may."""


class OwnerQueueFullError(QueueFullError):
    """As many deletions of this owner wait as may; others still have room."""


class KeyReusedError(ValueError):
    """The idempotency key was sent before, with another body."""


class Entry(NamedTuple):
    """A deletion, as its sender may see it."""

    id: str
    status: str  # of STATUSES
    model_version: int | None  # that has forgotten; None where none that answers has
    received: int
    error: str | None
    matched: int | None
    seconds: float | None

    def body(self) -> dict[str, Any]:
        """As it is sent."""
        version = None if self.model_version is None else str(self.model_version)
        return {
            "id": self.id,
            "status": self.status,
            "model_version": version,
            "error": self.error,
            "matched": self.matched,
            "seconds": self.seconds,
        }


class Task(NamedTuple):
    """A deletion, as the worker takes it."""

    number: int  # in the order of arrival, from 1
    id: str
    owner: str
    by: str  # "submission" or "identifier"
    attempts: int  # this one included
    payload: Payload


class Queue:
    """The table of deletions."""

    def __init__(self, journal: Journal):
        self._journal = journal

    def add(
        self,
        owner: str,
        key: str,
        body_digest: str,
        by: str,
        received: int,
        payload: Payload,
        most_pending: int,
        most_per_owner: int,
    ) -> Entry:
        """Notes a deletion; the one that was sent with this key before, where there is one.

        One that was undone waits again, under the id that it has, as if it came now. At most `most_pending` wait, and
        `most_per_owner` of each owner. Raises KeyReusedError, QueueFullError and OwnerQueueFullError.
        """
        with self._journal.transaction() as connection:
            known = self._sent_before(connection, owner, key, body_digest)
            if known and known.status != UNDONE:
                return known
            waiting, own = connection.execute(
                "SELECT COUNT(*), COUNT(CASE WHEN owner = ? THEN 1 END) FROM deletions WHERE status = ?",
                (owner, PENDING),
            ).fetchone()
            if own >= most_per_owner:
                raise OwnerQueueFullError(f"{own} deletions of yours wait already")
            if waiting >= most_pending:
                raise QueueFullError(f"{waiting} deletions wait already")
            new = known.id if known else secrets.token_hex(16)
            connection.execute("DELETE FROM deletions WHERE id = ?", (new,))
            connection.execute(
                "INSERT INTO deletions(id, owner, idempotency_key, body_digest, kind, received, payload, status, "
                "received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (new, owner, key, body_digest, by, received, packed(payload), PENDING, time.time()),
            )
        return Entry(new, PENDING, None, received, None, None, None)

    def sent_before(self, owner: str, key: str, body_digest: str) -> Entry | None:
        """The deletion that was sent with this key. Raises KeyReusedError where its body was another."""
        with self._journal.transaction() as connection:
            return self._sent_before(connection, owner, key, body_digest)

    def _sent_before(self, connection: sqlite3.Connection, owner: str, key: str, body_digest: str) -> Entry | None:
        row = connection.execute(
            "SELECT * FROM deletions WHERE owner = ? AND idempotency_key = ?", (owner, key)
        ).fetchone()
        if row is None:
            return None
        if row["body_digest"] != body_digest:
            raise KeyReusedError("the idempotency key was sent before with another body")
        return _entry(row)

    def entry(self, deletion: str, owner: str) -> Entry | None:
        """A deletion of this owner; None where there is none."""
        rows = self._journal.rows("SELECT * FROM deletions WHERE id = ? AND owner = ?", deletion, owner)
        return _entry(rows[0]) if rows else None

    def cancel(self, deletion: str, owner: str) -> Entry | None:
        """Cancels a deletion that still waits, and says how it stands; None where there is none of this owner."""
        with self._journal.transaction() as connection:
            connection.execute(
                "UPDATE deletions SET status = ?, payload = NULL, ended_at = ? WHERE id = ? AND owner = ? AND "
                "status = ?",
                (CANCELLED, time.time(), deletion, owner, PENDING),
            )
        return self.entry(deletion, owner)

    def next(self, patience: int) -> Task | None:
        """Takes the deletion that waits longest; None where none waits.

        The order is that of arrival, whoever sent them: a deletion's outcome depends on those before it, and one that a
        kill ended begins again from the same version. That no owner has more than a share of the places is what keeps
        the wait of the others short.

        One that was begun `patience` times before, and not ended, waits for all others: if it is what ends the process,
        they are done first. None is given up.
        """
        with self._journal.transaction() as connection:
            row = connection.execute(
                "SELECT * FROM deletions WHERE status = ? ORDER BY attempts >= ?, number LIMIT 1", (PENDING, patience)
            ).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE deletions SET status = ?, attempts = attempts + 1 WHERE number = ?",
                (IN_PROGRESS, row["number"]),
            )
        return Task(row["number"], row["id"], row["owner"], row["kind"], row["attempts"] + 1, unpacked(row["payload"]))

    def take_up_again(self) -> int:
        """After a start: what was under way waits again. Returns how many do."""
        with self._journal.transaction() as connection:
            return connection.execute(
                "UPDATE deletions SET status = ? WHERE status = ?", (PENDING, IN_PROGRESS)
            ).rowcount

    def retry(self) -> None:
        """What is under way in this process, and could not be ended, waits again."""
        with self._journal.transaction() as connection:
            connection.execute(
                "UPDATE deletions SET status = ?, attempts = attempts - 1 WHERE status = ?", (PENDING, IN_PROGRESS)
            )

    def put_back(self, deletion: str, error: str) -> None:
        """A deletion whose result could not be written waits again, before those that came later."""
        with self._journal.transaction() as connection:
            connection.execute(
                "UPDATE deletions SET status = ?, attempts = attempts - 1, error = ? WHERE id = ?",
                (PENDING, error, deletion),
            )

    def note_decisions(self, deletion: str, decisions: list[dict[str, Any]]) -> None:
        """Notes what the gates said."""
        with self._journal.transaction() as connection:
            connection.execute("UPDATE deletions SET decisions = ? WHERE id = ?", (json.dumps(decisions), deletion))

    def fail(self, deletion: str, error: str) -> None:
        """Ends a deletion that changed nothing."""
        with self._journal.transaction() as connection:
            end(connection, deletion, FAILED, None, error, None, None)

    def counts(self) -> dict[str, int]:
        """Deletions by status."""
        found = {row[0]: row[1] for row in self._journal.rows("SELECT status, COUNT(*) FROM deletions GROUP BY status")}
        return {status: found.get(status, 0) for status in STATUSES}


def end(
    connection: sqlite3.Connection,
    deletion: str,
    status: str,
    version: int | None,
    error: str | None,
    matched: int | None,
    seconds: float | None,
) -> None:
    """Ends a deletion inside a transaction, and erases what was submitted."""
    connection.execute(
        "UPDATE deletions SET status = ?, payload = NULL, model_version = ?, error = ?, matched = ?, seconds = ?, "
        "ended_at = ? WHERE id = ?",
        (status, version, error, matched, seconds, time.time(), deletion),
    )


def _entry(row: sqlite3.Row) -> Entry:
    entry = Entry(*(row[name] for name in Entry._fields))
    return entry._replace(model_version=None) if entry.status == UNDONE else entry
