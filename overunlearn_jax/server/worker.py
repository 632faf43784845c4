"""The thread that forgets: one deletion after the other, each from the version that answers when it begins.

What it has done stands in the journal before it answers; what it was at when the process ended is done at the next
start, from the same version, with the same key, to the same bits.
"""

import contextlib
import sqlite3
import threading
import traceback
from collections.abc import Sequence

import jax
import numpy as np

from overunlearn_jax.defences.gate import (
    Decision,
    Gate,
    GateError,
    View,
    accepted_by_all,
    decide,
    for_journal,
    refusal_line,
)
from overunlearn_jax.server.core import Served, ServedModel
from overunlearn_jax.server.forgetter import Forgetter, Forgotten, RolledBackError
from overunlearn_jax.server.lineage import Outcome, OvertakenError
from overunlearn_jax.server.logs import Log, no_log
from overunlearn_jax.server.queue import Task
from overunlearn_jax.types import DivergedError, Key, Request, Split


class _MethodFailedError(RuntimeError):
    """The unlearning method raised something else than it may."""


class Worker:
    """Does what the queue holds.

    Args:
      served: the model with its journal.
      train: the training data, of which a deletion by identifier names samples.
      forget: the unlearning method.
      gates: asked about every request before anything is unlearned.
      key: of all deletions; each has one folded from it by its number.
      log: told what happens.
    """

    def __init__(
        self,
        served: ServedModel,
        train: Split,
        forget: Forgetter,
        *,
        key: Key,
        gates: Sequence[Gate] = (),
        log: Log = no_log,
    ):
        self._served, self._train, self._forget, self._gates = served, train, forget, tuple(gates)
        self._key, self._log = key, log
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="unlearning", daemon=True)

    def start(self) -> None:
        """Begins with what the journal holds."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def stop(self, seconds: float) -> bool:
        """Takes nothing more; waits for what is under way, and says whether that has ended."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def is_alive(self) -> bool:
        """Whether deletions are done."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                task = self._served.queue.next(self._served.settings.patience)
                if task is None:
                    self._wake.wait()
                    continue
                self._do(task)
            except Exception as error:  # the journal or the disk refuses: nothing is lost, it is tried again
                self._log("worker_failed", error=_told(error), trace=traceback.format_exc())
                self._stopping.wait(self._served.settings.retry_seconds)
                with contextlib.suppress(sqlite3.Error):  # still refused: the next turn tries it again
                    self._served.queue.retry()

    def _do(self, task: Task) -> None:
        self._log("deletion_begins", deletion=task.id, owner=task.owner, by=task.by, attempt=task.attempts)
        try:
            while True:
                try:
                    self._attempt(task, self._served.served)
                    return
                except OvertakenError as error:
                    self._log("deletion_begins_anew", deletion=task.id, why=str(error))
        except OSError as error:  # a full disk: no version is there, and none is named
            self._served.queue.put_back(task.id, f"its result cannot be written yet: {_told(error)}")
            self._log("deletion_put_back", deletion=task.id, error=_told(error))
            self._stopping.wait(self._served.settings.retry_seconds)
        except DivergedError as error:
            self._fail(task, f"diverged: {error}")
        except GateError as error:
            self._fail(task, str(error))
        except _MethodFailedError as error:
            self._fail(task, f"the method failed: {error}", traceback.format_exc())

    def _attempt(self, task: Task, base: Served) -> None:
        request, ids = self._request(task, base)
        count = len(request.labels)
        if count == 0:
            self._served.commit_nothing(base, Outcome(task.id, 0, 0.0, None))
            self._log("deletion_completed", deletion=task.id, model_version=str(base.version.number), matched=0)
            return
        view = View(self._served.spec, base.predict, str(base.version.number), task.owner, task.by)
        decisions = decide(self._gates, request, view)
        self._note(task, decisions)
        accepted, refused = accepted_by_all(decisions, count), refusal_line(decisions, count)
        if not accepted.any():
            self._fail(task, refused)
            return
        request = Request(np.asarray(request.images)[accepted], np.asarray(request.labels)[accepted])
        key = jax.random.fold_in(self._key, task.number)
        try:
            forgotten = self._forgotten(base, request, key)
        except RolledBackError as error:
            self._note(task, [*decisions, *error.decisions])
            raise
        if forgotten.decisions:
            self._note(task, [*decisions, *forgotten.decisions])
        gone = forgotten.ids if ids is None else frozenset(map(int, ids[accepted]))
        outcome = Outcome(task.id, None if gone is None else len(gone), forgotten.seconds, refused or None)
        new = self._served.commit(base, forgotten.variables, gone or frozenset(), outcome)
        self._log(
            "deletion_completed",
            deletion=task.id,
            model_version=str(new.version.number),
            matched=outcome.matched,
            seconds=forgotten.seconds,
        )

    def _note(self, task: Task, decisions: Sequence[Decision]) -> None:
        self._served.queue.note_decisions(task.id, for_journal(decisions))

    def _forgotten(self, base: Served, request: Request, key: Key) -> Forgotten:
        try:
            return self._forget(base.variables, base.version.forgotten, request, key)
        except (OSError, DivergedError, GateError):
            raise
        except Exception as error:  # of a method, perhaps a user's: this deletion alone fails, with its words
            raise _MethodFailedError(_told(error)) from error

    def _request(self, task: Task, base: Served) -> tuple[Request, np.ndarray | None]:
        """What is to be forgotten, and the ids of the samples where it names some."""
        rows, images, labels = task.payload
        if rows is None:
            assert images is not None  # a payload has the one or the other
            assert labels is not None
            return Request(images, labels), None
        ids = self._train.ids[rows]
        left = ~np.isin(ids, list(base.version.forgotten))  # what was forgotten before is not forgotten twice
        return Request(self._train.images[rows[left]], self._train.labels[rows[left]]), ids[left]

    def _fail(self, task: Task, error: str, trace: str = "") -> None:
        self._served.queue.fail(task.id, error[:1000])
        self._served.journal.forget_freed_pages()
        self._log("deletion_failed", deletion=task.id, error=error, **({"trace": trace} if trace else {}))


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
