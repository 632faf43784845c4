"""The journal on disk: SQLite with a write-ahead log that is on disk before a write is answered (synchronous=FULL).

`Journal` is the file and its transactions; the deletions' table is in queue.py, versions and snapshots in lineage.py.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KEPT_REFUSALS = 10_000  # of each owner; older ones go, so that nobody fills the disk, nor erases those of another
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deletions(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  body_digest TEXT NOT NULL,
  kind TEXT NOT NULL,
  received INTEGER NOT NULL,
  payload BLOB,
  status TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  decisions TEXT,
  model_version INTEGER,
  error TEXT,
  matched INTEGER,
  seconds REAL,
  received_at REAL NOT NULL,
  ended_at REAL,
  UNIQUE(owner, idempotency_key)
);
CREATE INDEX IF NOT EXISTS deletions_by_status ON deletions(status, number);
CREATE TABLE IF NOT EXISTS versions(
  version INTEGER PRIMARY KEY,
  parent INTEGER REFERENCES versions(version),
  digest TEXT NOT NULL,
  forgotten TEXT NOT NULL,
  deletion TEXT,
  made_at REAL NOT NULL,
  has_file INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS changes(
  number INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL REFERENCES versions(version), why TEXT NOT NULL,
  at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS snapshots(
  id TEXT PRIMARY KEY, version INTEGER NOT NULL REFERENCES versions(version), made_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS refusals(
  number INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, request TEXT NOT NULL, status INTEGER NOT NULL,
  code TEXT NOT NULL, message TEXT NOT NULL, at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS refusals_by_owner ON refusals(owner, number);
"""


class JournalError(RuntimeError):
    """The journal cannot be used; the message names the file and says what to do."""


class Journal:
    """The file. All threads share one connection, one at a time.

    Raises:
      JournalError: a file that is damaged, or that cannot be written.
    """

    def __init__(self, path: Path):
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        try:
            self._connection.row_factory = sqlite3.Row
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "foreign_keys=ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            found = self._connection.execute("PRAGMA quick_check").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(found)
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            self._connection.close()
            raise JournalError(
                f"the journal {path} cannot be used ({error}): bring it back from a copy; in a new workdir the service "
                "begins with the model as it was trained, and knows of no deletion"
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing of it; on disk when the block is left."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                if self._connection.in_transaction:  # a full disk ends it by itself
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """What a query finds."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def fact(self, name: str, value: str) -> str:
        """What was first noted under a name; `value` where nothing was."""
        with self.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, value))
            found: str = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()[0]
            return found

    def note_refusal(self, owner: str, request: str, status: int, code: str, message: str) -> None:
        """Notes a request of an owner that was refused; of each owner the newest `KEPT_REFUSALS` are kept."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO refusals(owner, request, status, code, message, at) VALUES (?, ?, ?, ?, ?, ?)",
                (owner, request[:200], status, code, message[:500], time.time()),
            )
            connection.execute(
                "DELETE FROM refusals WHERE owner = ? AND number <= "
                "(SELECT number FROM refusals WHERE owner = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (owner, owner, KEPT_REFUSALS),
            )

    def forget_freed_pages(self) -> None:
        """Empties the write-ahead log, in which erased payloads still stand."""
        with self._lock:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()
