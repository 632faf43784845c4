"""A deletion is noted before it is sent, and one process at a time deletes."""

import threading

import jax
import pytest

from overunlearn_jax.services.fingerprint import ask, asked_images
from overunlearn_jax.services.guard import GuardedService, unfinished
from overunlearn_jax.services.inspection import ServiceError
from overunlearn_jax.types import Request
from tests.services.fakes import InPlace, InPlaceService, splits

DATA = splits()
KEY = jax.random.key(0)
REQUEST = Request(DATA.train.images[:3], DATA.train.labels[:3])


def guarded(folder, inner, **settings):
    images = asked_images(DATA.test)
    return GuardedService(
        InPlaceService(inner), folder, images, ask(inner.predict, images), name="this one", **settings
    )


def test_the_note_is_there_while_the_service_has_forgotten_and_goes_with_the_reset(tmp_path):
    inner = InPlace()
    service = guarded(tmp_path, inner)
    with service.after([REQUEST], KEY) as left:
        assert left.predict is not None
        noted = unfinished(tmp_path)
        assert (noted["service"], noted["samples"]) == ("this one", 3)
        assert inner.calls == ["forget 3"]
    assert unfinished(tmp_path) is None
    assert inner.calls == ["forget 3", "reset"]


def test_the_note_stays_where_the_reset_did_not_work_or_something_failed(tmp_path):
    broken = guarded(tmp_path, InPlace(resets=False))
    message = r"was reset, and the logarithm of some probability still differs.*then delete .*deleting"
    with pytest.raises(ServiceError, match=message), broken.after([REQUEST], KEY):
        pass
    assert unfinished(tmp_path) is not None
    whole = guarded(tmp_path, InPlace())
    with pytest.raises(KeyboardInterrupt), whole.after([REQUEST], KEY):
        raise KeyboardInterrupt
    assert unfinished(tmp_path) is not None
    with whole.after([REQUEST], KEY):
        pass
    assert unfinished(tmp_path) is None


def test_one_at_a_time(tmp_path):
    first, second = guarded(tmp_path, InPlace()), guarded(tmp_path, InPlace(), wait=0.05)
    with first.after([REQUEST], KEY):
        failed = []

        def other():  # a lock of this thread would be entered again
            try:
                with second.after([REQUEST], KEY):
                    pass
            except ServiceError as error:
                failed.append(str(error))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert failed[0].startswith("another process is deleting from this service (process ")
    with second.after([REQUEST], KEY):
        pass


def test_a_note_that_is_not_as_it_was_written_is_told(tmp_path):
    service = guarded(tmp_path, InPlace())
    with service.after([REQUEST], KEY):
        text = (tmp_path / "deleting.json").read_text()
    for damaged in (text[:5], text.replace("this one", "this two")):
        (tmp_path / "deleting.json").write_text(damaged)
        with pytest.raises(ValueError, match=r"deleting\.json is damaged.*bring the service back by hand"):
            unfinished(tmp_path)
