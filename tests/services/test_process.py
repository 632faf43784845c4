"""A user's service in a process of its own: what it does there ends there."""

from pathlib import Path

import numpy as np
import pytest

from experiments.run.errors import describe_error
from overunlearn_jax.services.process import LAST_WORDS, LOGGED, ServiceProcess
from overunlearn_jax.services.training_argument import made_with, training_argument
from overunlearn_jax.types import DeletionRefusedError, DivergedError
from overunlearn_jax.user_code import UserCodeError
from tests.services.fakes import splits

THEIRS = """
import os, sys, time
import numpy as np
from overunlearn_jax.types import DeletionRefusedError, DivergedError

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
        if len(labels) == 9:
            raise DeletionRefusedError("none of these was trained on")
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

class Loaded(Service):
    def __init__(self, weights="model.pt"):
        self.count = weights.count("model")

class Given(Service):
    def __init__(self, weights="model.pt", *, train=None):
        self.count = weights.count("model") * len(train.labels) - 78

def fails():
    raise RuntimeError("no weights on this disk")
"""
DATA = splits()
IMAGES = DATA.train.images[:5]


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "remote_service.py").write_text(THEIRS)
    (tmp_path / "broken_service.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    opened = []

    def start(name: str = "remote_service:Service", timeout: float = 30.0) -> ServiceProcess:
        opened.append(ServiceProcess(name, DATA.train, tmp_path / "service.log", timeout))
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
    with pytest.raises(DeletionRefusedError, match="none of these was trained on"):
        remote.forget(IMAGES[:3], np.zeros(9, int))
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
        ("remote_service:Bare", "^--service=remote_service:Bare has no forget, reset; expected predict"),
        ("remote_service:nowhere", "^--service=remote_service:nowhere cannot be imported"),
        ("remote_service:os", "^--service=remote_service:os is a module; expected a class, or a function"),
        ("no_such_file:Service", "^--service=no_such_file:Service cannot be imported"),
    ],
)
def test_what_is_no_service_is_told_in_a_line(process, name: str, message: str):
    with pytest.raises(UserCodeError, match=message) as caught:
        process(name)
    assert describe_error(caught.value) == f"error: {caught.value}"


@pytest.mark.parametrize(
    ("name", "message", "line"),
    [
        ("remote_service:fails", "making the service raised RuntimeError: no weights on this disk", "in fails"),
        ("broken_service:Service", "^--service=broken_service:Service cannot be imported .*ZeroDivisionError", "1 / 0"),
    ],
)
def test_code_of_theirs_that_fails_is_shown_and_none_of_ours(process, name: str, message: str, line: str):
    with pytest.raises(UserCodeError, match=message) as caught:
        process(name)
    said = str(caught.value.__cause__)
    assert line in said
    assert "process.py" not in said
    assert "user_code.py" not in said


@pytest.mark.parametrize(("name", "count"), [("Loaded", 1), ("Given", 2)])
def test_training_data_goes_to_no_argument_that_means_something_else(process, name: str, count: int):
    assert (process(f"remote_service:{name}").predict(IMAGES) == 0.25 + count).all()


def test_which_argument_is_given_the_training_data():
    for make, name in (
        (lambda: None, None),
        (lambda weights="model.pt": None, None),
        (lambda *data, **train: None, None),
        (lambda samples: None, "samples"),
        (lambda samples, /, rate=0.1: None, "samples"),
        (lambda rate=0.1, data=None: None, "data"),
        (lambda weights, train: None, "train"),
        (lambda *, rate: None, None),
    ):
        found = training_argument(make)
        assert (found and found.name) == name
    assert made_with(lambda samples, /: samples, DATA.train) is DATA.train
    assert made_with(lambda rate=0.1, *, data: (rate, data), DATA.train) == (0.1, DATA.train)
