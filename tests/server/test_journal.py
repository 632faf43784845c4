"""What is on disk: nothing of it is lost or done twice by an end of the process at any moment, and damage is found."""

import sqlite3

import jax
import numpy as np
import pytest

pytest.importorskip("overunlearn_jax.server", exc_type=ImportError)

from overunlearn_jax.server import journal
from overunlearn_jax.server.core import OccupiedError
from overunlearn_jax.server.journal import JournalError
from overunlearn_jax.server.payloads import Payload
from overunlearn_jax.server.settings import ServerSettings
from overunlearn_jax.server.versions import DamagedVersionError
from overunlearn_jax.server.worker import Worker
from overunlearn_jax.services.fingerprint import weights_digest
from tests.server.small_service import SPLITS, TRAINED, first_order_forgetter, opened, step

TRAIN = SPLITS.train


class KilledError(BaseException):
    """Ends a thread where a kill would end the process."""


def worker_of(served, forget=None):
    return Worker(served, TRAIN, forget or first_order_forgetter(), key=jax.random.key(1))


def add(served, rows, key):
    payload = Payload(rows=np.asarray(rows))
    return served.queue.add("alice", key, "digest", "identifier", len(rows), payload, 100, 100).id


def work(served, forget=None):
    """Does all that waits, in this thread."""
    worker = worker_of(served, forget)
    while (task := served.queue.next(3)) is not None:
        worker._do(task)


def expected(*requests):
    variables = TRAINED
    for rows in requests:
        variables = step(variables, TRAIN.images[rows], TRAIN.labels[rows])
    return np.asarray(variables.params["kernel"])


PLACES = (
    "forget",  # before anything
    "files.write",  # unlearned, not written
    "lineage.complete",  # written, not in the journal
    "_clean",  # in the journal, in memory or not
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("after", [False, True])
def test_ended_anywhere_it_is_done_once(tmp_path, monkeypatch, place, after):
    served = opened(tmp_path)
    one, two = add(served, [0, 1], "one"), add(served, [2], "two")
    owner, name = {
        "forget": (first_order_forgetter, None),
        "files.write": (served.files, "write"),
        "lineage.complete": (served.lineage, "complete"),
        "_clean": (served, "_clean"),
    }[place]

    def killing(inner):
        def call(*arguments):
            if after:
                inner(*arguments)
            raise KilledError

        return call

    forget = None
    if name is None:
        forget = killing(first_order_forgetter())
    else:
        monkeypatch.setattr(owner, name, killing(getattr(owner, name)))
    with pytest.raises(KilledError):
        work(served, forget)
    monkeypatch.undo()
    served.close()

    again = opened(tmp_path)
    work(again)
    assert again.served.version.number == 3
    np.testing.assert_allclose(np.asarray(again.served.variables.params["kernel"]), expected([0, 1], [2]), rtol=1e-5)
    assert again.served.version.forgotten == set(map(int, TRAIN.ids[[0, 1, 2]]))
    made = again.journal.rows("SELECT deletion FROM versions WHERE deletion IS NOT NULL ORDER BY version")
    assert [row[0] for row in made] == [one, two]
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == [f"{n:08d}.npz" for n in (1, 2, 3)]
    assert again.queue.counts()["completed"] == 2
    again.close()


def test_what_ends_the_process_waits_for_the_others(tmp_path):
    poison = add(first := opened(tmp_path), [0], "poison")
    for _ in range(3):
        assert first.queue.next(3).id == poison
        first.close()
        first = opened(tmp_path)
    other = add(first, [1], "other")
    assert [first.queue.next(3).id for _ in range(2)] == [other, poison]
    first.close()


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    served = opened(tmp_path, ServerSettings(retry_seconds=0.01))
    name = add(served, [0, 1], "one")
    write, calls = served.files.write, []

    def full(number, variables):
        calls.append(number)
        if len(calls) < 3:
            raise OSError(28, "No space left on device")
        return write(number, variables)

    monkeypatch.setattr(served.files, "write", full)
    work(served)
    entry = served.queue.entry(name, "alice")
    assert (entry.status, entry.model_version, entry.error) == ("completed", 2, None)
    assert len(calls) == 3
    served.close()


def test_a_journal_that_refuses_loses_nothing(tmp_path, monkeypatch):
    served = opened(tmp_path, ServerSettings(retry_seconds=0.01))
    name, complete, calls = add(served, [0, 1], "one"), served.lineage.complete, []

    def refuses(*arguments):
        calls.append(arguments)
        if len(calls) < 3:
            raise sqlite3.OperationalError("disk I/O error")
        complete(*arguments)

    monkeypatch.setattr(served.lineage, "complete", refuses)
    worker = worker_of(served)
    worker.start()
    for _ in range(1000):
        if served.queue.entry(name, "alice").status == "completed":
            break
        worker._stopping.wait(0.01)
    assert worker.stop(10)
    assert served.served.version.number == 2
    np.testing.assert_allclose(np.asarray(served.served.variables.params["kernel"]), expected([0, 1]), rtol=1e-5)
    served.close()


def test_a_damaged_version_is_found(tmp_path):
    served = opened(tmp_path)
    add(served, [0], "one")
    work(served)
    path, weights = served.files.path(2), np.asarray(served.served.variables.params["kernel"]).tobytes()
    served.close()
    whole = bytearray(path.read_bytes())
    for place in (whole.index(b"described"), len(whole) // 2, whole.index(weights[:8])):
        path.write_bytes(bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]))
        with pytest.raises(DamagedVersionError, match=r"00000002\.npz"):
            opened(tmp_path).close()
    path.write_bytes(b"")
    with pytest.raises(DamagedVersionError, match="--from_version=NUMBER"):
        opened(tmp_path)
    again = opened(tmp_path, start_from=1)
    assert again.queue.counts()["undone"] == 1
    assert weights_digest(again.served.variables) == weights_digest(TRAINED)
    again.close()
    with pytest.raises(ValueError, match="--from_version=7: expected one whose file is kept"):
        opened(tmp_path, start_from=7)


def test_other_weights_under_the_same_name_are_found(tmp_path):
    served = opened(tmp_path)
    served.files.write(1, step(TRAINED, TRAIN.images[:1], TRAIN.labels[:1]))
    served.close()
    with pytest.raises(DamagedVersionError, match="the journal has"):
        opened(tmp_path)


def test_a_folder_is_of_one_model_and_one_process(tmp_path):
    served = opened(tmp_path)
    with pytest.raises(OccupiedError, match="another process serves"):
        opened(tmp_path)
    served.close()
    from tests.server import small_service

    other = step(TRAINED, TRAIN.images[:1], TRAIN.labels[:1])
    with pytest.raises(ValueError, match="give another --workdir"):
        small_service.ServedModel(small_service.SPEC, small_service.MODEL, other, tmp_path, ServerSettings())


def test_a_folder_is_its_owner_s_alone(tmp_path, monkeypatch):
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    opened(folder).close()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)

    def of_another_user(self, mode):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(type(folder), "chmod", of_another_user)
    with pytest.raises(ValueError, match="belongs to another user; expected a folder of your own"):
        opened(folder)


def test_a_damaged_journal_is_named(tmp_path):
    opened(tmp_path).close()
    (tmp_path / "journal.sqlite3").write_bytes(b"no database, certainly none" * 100)
    with pytest.raises(JournalError, match=r"journal\.sqlite3"):
        opened(tmp_path)


def test_nobody_erases_the_refusals_of_another(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "KEPT_REFUSALS", 3)
    served = opened(tmp_path)
    served.journal.note_refusal("bob", "POST /deletions", 422, "bob's", "")
    for number in range(10):
        served.journal.note_refusal("alice", "POST /deletions", 422, f"{number}", "")
    kept = served.journal.rows("SELECT owner, code FROM refusals ORDER BY number")
    assert [tuple(row) for row in kept] == [("bob", "bob's"), ("alice", "7"), ("alice", "8"), ("alice", "9")]
    served.close()


def test_old_versions_go_but_those_of_snapshots(tmp_path):
    served = opened(tmp_path, ServerSettings(keep_versions=1))
    for number in range(5):
        add(served, [number], f"{number}")
        work(served)
        if number == 1:
            served.lineage.take_snapshot()
    assert served.lineage.with_files() == {3, 5, 6}
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == [f"{n:08d}.npz" for n in (3, 5, 6)]
    assert served.served.version.forgotten == set(map(int, TRAIN.ids[:5]))
    served.close()


def test_what_was_submitted_is_nowhere_on_disk_once_it_is_forgotten(tmp_path):
    image = np.linspace(-0.5, 0.5, 9, dtype=np.float32).reshape(1, 3, 3, 1)
    needle = image.tobytes()
    served = opened(tmp_path)
    payload = Payload(images=image, labels=np.zeros(1, np.int32))
    served.queue.add("alice", "key", "digest", "submission", 1, payload, 10, 10)

    def on_disk():
        return any(needle in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    assert on_disk()
    work(served)
    assert not on_disk()
    served.close()
