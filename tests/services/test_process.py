"""A user's service in a process of its own: what it does there ends there."""

from pathlib import Path

import numpy as np
import pytest

from overunlearn_jax.services.process import LAST_WORDS, LOGGED, ServiceProcess
from overunlearn_jax.types import DivergedError
from overunlearn_jax.user_code import UserCodeError
from tests.services.fakes import splits

THEIRS = """
import os, sys, time
import numpy as np
from overunlearn_jax.types import DivergedError

class Service:
    pixels = "their format"
    def __init__(self, train):
        print("hello", len(train.labels), flush=True)
        self.count = 0
    def predict(self, images):
        if self.count == 3:
            time.sleep(60)
        return np.full((len(images), 4), 0.25 + self.count)
    def forget(self, images, labels):
        if len(labels) == 2:
            raise KeyError("weights")
        if len(labels) == 3:
            raise DivergedError("no longer finite")
        if len(labels) == 4:
            os._exit(0)
        if len(labels) == 5:
            sys.exit(0)
        if len(labels) == 6:
            print("x" * (3 << 20), flush=True)
            return 7
        if len(labels) == 8:
            raise KeyboardInterrupt("of a library")
        self.count = 3 if len(labels) == 7 else self.count + 1
    def reset(self):
        self.count = 0

class Bare:
    def predict(self, images):
        return images

def fails():
    raise RuntimeError("no weights on this disk")
"""
DATA = splits()
IMAGES = DATA.train.images[:5]


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "remote_service.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(str(tmp_path))
    opened = []

    def start(name: str = "Service", timeout: float = 30.0) -> ServiceProcess:
        opened.append(ServiceProcess(f"remote_service:{name}", DATA.train, tmp_path / "service.log", timeout))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_calls_go_there_and_back_and_errors_come_with_their_traceback(process, tmp_path: Path):
    remote = process()
    assert remote.pixels == "their format"
    assert (remote.predict(IMAGES) == 0.25).all()
    assert remote.forget(IMAGES[:1], np.zeros(1, int)) is None
    assert (remote.predict(IMAGES) == 1.25).all()
    remote.reset()
    assert (remote.predict(IMAGES) == 0.25).all()
    with pytest.raises(UserCodeError, match="KeyError: 'weights'") as caught:
        remote.forget(IMAGES[:2], np.zeros(2, int))
    assert 'raise KeyError("weights")' in str(caught.value.__cause__)
    with pytest.raises(DivergedError, match="no longer finite"):
        remote.forget(IMAGES[:3], np.zeros(3, int))
    with pytest.raises(UserCodeError, match="SystemExit: 0"):
        remote.forget(IMAGES[:5], np.zeros(5, int))
    assert remote.forget(IMAGES[:3], np.zeros(6, int)) == "int"  # the type of what it returned
    # what it prints is kept, up to a limit
    log = tmp_path / "service.log"
    with pytest.raises(UserCodeError, match=rf"ended in forget\(images, labels\), with exit status 0: .* is in {log}"):
        remote.forget(IMAGES[:4], np.zeros(4, int))
    text = log.read_text()
    assert text.startswith("hello 80\n")
    assert len(text) <= LOGGED
    # a process that has ended says so, and has nothing to bring back
    with pytest.raises(UserCodeError, match="must not leave"):
        remote.predict(IMAGES)
    remote.reset()


def test_a_process_that_ends_shows_what_it_printed_last_and_nothing_of_ours(process):
    remote = process()
    with pytest.raises(UserCodeError, match=r"ended in forget\(images, labels\), with exit status 1") as caught:
        remote.forget(IMAGES, np.zeros(8, int))
    said = str(caught.value.__cause__)
    assert said.endswith("KeyboardInterrupt: of a library")
    assert "EOFError" not in said
    assert len(said.splitlines()) <= LAST_WORDS


def test_a_call_that_hangs_is_ended(process):
    remote = process(timeout=20.0)
    remote.forget(IMAGES, np.zeros(7, int))
    remote._timeout = 0.5
    with pytest.raises(UserCodeError, match=r"predict\(images\) took longer than 0.5 s .* --service_timeout"):
        remote.predict(IMAGES)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Bare", "it has no forget, reset; expected predict"),
        ("fails", "making the service raised RuntimeError: no weights on this disk"),
        ("nowhere", "--service=remote_service:nowhere cannot be imported"),
        ("THEIRS", "cannot be imported"),
    ],
)
def test_what_is_no_service(process, name: str, message: str):
    with pytest.raises(UserCodeError, match=message):
        process(name)
