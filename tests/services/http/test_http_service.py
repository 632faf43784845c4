"""Deletion over HTTP and every way to undo it, and an audit of a service that is known by its URL alone."""

import sys
import textwrap
from pathlib import Path

import jax
import numpy as np
import pytest

import overunlearn_jax as ou
from overunlearn_jax.services.callables import CallableService
from overunlearn_jax.services.http import (
    ByIdentifier,
    BySubmission,
    ClientSettings,
    HttpClient,
    HttpService,
    NoUndo,
    OpenInference,
    RefusedError,
    Replica,
    Snapshot,
    TensorFlowServing,
    UnavailableError,
    UndoCommand,
)
from overunlearn_jax.services.http.deletion import Polling, cancel, delete, look, request_deletion
from overunlearn_jax.services.inspection import ServiceError, inspect_service
from overunlearn_jax.services.pixels import PixelFormat
from overunlearn_jax.types import DivergedError, Request, Split, Splits
from tests.services.http.fake_server import SPEC, Model
from tests.unlearn.small_model import request

KEY = jax.random.key(0)
QUICK = Polling(first=0.001, most=0.001)
IMAGES, LABELS = request(4, 6)
ONE = [Request(IMAGES, LABELS)]


def _service(url, **settings):
    client = HttpClient(url, settings=ClientSettings(wait=0.001, retries=2))
    return HttpService(SPEC, client, TensorFlowServing("m"), polling=QUICK, **settings)


def _splits():
    parts = []
    for seed, count in ((1, 80), (2, 20), (3, 40)):
        images, _ = request(seed, count)
        labels = Model().predict(images + 0.5).argmax(-1).astype(np.int32)
        parts.append(Split(images, labels, np.arange(count)))
    return Splits(SPEC, *parts)


@pytest.mark.parametrize("eight_bit", [False, True])
def test_a_deletion_is_sent_polled_and_undone(server, eight_bit):
    url, state = server
    state.polls = 3
    service = _service(url, deletion=BySubmission(eight_bit=eight_bit))
    before, local = service.predict(IMAGES), Model()
    unit = np.rint((IMAGES + 0.5) * 255) / 255 if eight_bit else IMAGES.astype(np.float64) + 0.5
    local.forget(unit, LABELS)
    with service.after(ONE, KEY) as left:
        assert left.deletion.seconds > 0
        np.testing.assert_allclose(left.predict(IMAGES), local.predict(np.float32(IMAGES + 0.5)), atol=1e-6)
    assert np.array_equal(service.predict(IMAGES), before)
    posted = [headers for method, path, headers in state.received if (method, path) == ("POST", "/deletions")]
    assert len(posted) == 1
    assert posted[0]["Idempotency-Key"]


def test_a_deletion_sent_again_is_done_once(server):
    url, state = server
    service = _service(url)
    service.predict(IMAGES)
    state.trouble = [lambda: None, lambda: (503, b"", {})]  # the snapshot passes, the deletion does not at first
    with service.after(ONE, KEY):
        assert len(state.deletions) == 1


def test_several_requests_have_one_snapshot_and_a_failure_is_undone_too(server):
    url, state = server
    service = _service(url)
    before = service.predict(IMAGES)
    with service.after([*ONE, *ONE], KEY):
        assert len(state.snapshots) == 1
        assert len(state.deletions) == 2
    state.fails = "the method diverged: NaN in layer 3"
    with service.after(ONE, KEY) as left:
        assert left.predict is None
        assert "NaN in layer 3" in left.deletion.diverged
    state.fails = "12 of 12 samples refused by exact: they are no training images"
    with service.after([*ONE, *ONE], KEY) as left:
        assert np.array_equal(left.predict(IMAGES), before)
        assert (left.deletion.refused.samples, left.deletion.diverged) == (2 * len(ONE[0].labels), "")
        assert left.deletion.refused.why == state.fails
    state.fails = "connection refused"
    with pytest.raises(RefusedError, match="ended as failed: connection refused"), service.after(ONE, KEY):
        pass
    state.fails = "the disk is full"
    with pytest.raises(RefusedError, match="ended as failed: the disk is full"), service.after(ONE, KEY):
        pass
    assert np.array_equal(service.predict(IMAGES), before)


def test_a_deletion_that_does_not_end_is_cancelled(server):
    url, state = server
    state.polls = 10**6
    service = HttpService(
        SPEC, HttpClient(url), TensorFlowServing("m"), polling=Polling(first=0.001, most=0.001, longest=0.01)
    )
    with pytest.raises(UnavailableError, match="still pending after 0 s: raise --deletion_timeout"):
        service.after(ONE, KEY).__enter__()
    assert state.deletions["d-0"]["status"] == "cancelled"


def test_one_may_look_cancel_and_name_samples_by_identifier(server):
    url, _ = server
    client = HttpClient(url)
    body = ByIdentifier(lambda images, labels: [f"photo-{label}" for label in labels])(IMAGES, LABELS, SPEC.bounds)
    assert body == {"by": "identifier", "identifiers": [f"photo-{label}" for label in LABELS]}
    first = request_deletion(client, body, key="mine")
    assert first.status == "pending"
    assert request_deletion(client, body, key="mine").id == first.id
    cancel(client, first.id)
    assert look(client, first.id).status == "cancelled"
    with pytest.raises(ValueError, match="1 identifiers for 6 images"):
        ByIdentifier(lambda images, labels: ["one"])(IMAGES, LABELS, SPEC.bounds)


def test_a_deletion_that_somebody_else_s_restore_undid_is_told(server):
    url, state = server
    state.trouble = [
        lambda: (202, {"id": "d-9", "status": "pending", "model_version": None, "received": 1}, {}),
        lambda: (200, {"id": "d-9", "status": "undone", "model_version": None, "error": None}, {}),
    ]
    with pytest.raises(RefusedError, match="deletion d-9 was completed and then undone, because somebody restored"):
        delete(HttpClient(url), {"by": "identifier", "identifiers": ["x"]}, polling=QUICK)


def test_an_answer_of_another_schema_is_told(server):
    url, state = server
    state.trouble = [lambda: (202, {"deletion": 3}, {})]
    with pytest.raises(RefusedError, match=r"schema\.md has the schema"):
        request_deletion(HttpClient(url), {"by": "identifier", "identifiers": []})


def test_a_snapshot_is_found_again_after_a_kill(server, tmp_path):
    url, _ = server
    killed = _service(url, undo=Snapshot(tmp_path))
    before = killed.predict(IMAGES)
    context = killed.after(ONE, KEY)
    context.__enter__()  # and never left
    assert (tmp_path / "snapshot.json").exists()
    next_start = _service(url, undo=Snapshot(tmp_path))
    assert not np.array_equal(next_start.predict(IMAGES), before)
    next_start.reset()
    assert np.array_equal(next_start.predict(IMAGES), before)
    assert not (tmp_path / "snapshot.json").exists()
    next_start.reset()  # nothing is left to undo


def test_without_an_undo_nothing_is_sent_and_it_says_what_cannot_be_compared(server):
    url, state = server
    service = _service(url, undo=NoUndo())
    with pytest.raises(ServiceError, match="an honest and a malicious request over the same samples cannot be"):
        inspect_service(service, _splits(), 0, KEY)
    with pytest.raises(ServiceError, match="--undo=none"):
        ou.audit(service, _splits(), class_a="a")
    assert state.images == 0
    with service.after(ONE, KEY) as left:  # one deletion may be sent, by who knows what they do
        assert left.predict is not None
    with pytest.raises(ValueError, match="has forgotten"):
        service.predict(IMAGES)


def test_a_command_brings_it_back(server, tmp_path):
    url, state = server
    script = tmp_path / "back.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import urllib.request

            urllib.request.urlopen(urllib.request.Request("{url}/snapshots/deployed/restore", b"{{}}")).read()
            """
        )
    )
    state.snapshots["deployed"] = state.model.weights.copy()
    service = _service(url, undo=UndoCommand(f"{sys.executable} {script}"))
    before = service.predict(IMAGES)
    with service.after(ONE, KEY) as left:
        assert not np.array_equal(left.predict(IMAGES), before)
    assert np.array_equal(service.predict(IMAGES), before)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (f"{sys.executable} -c 'raise SystemExit(\"no such deployment\")'", "ended with status 1: no such deployment"),
        ("no-such-command --now", "no-such-command --now cannot be run: No such file"),
    ],
)
def test_a_command_that_fails_is_told(server, command, words):
    url, _ = server
    service = _service(url, undo=UndoCommand(command))
    with pytest.raises(RefusedError, match=words), service.after(ONE, KEY):
        pass


def test_commands_that_are_none():
    for command in ("", "'"):
        with pytest.raises(ValueError, match="--undo_command"):
            UndoCommand(command)
    with pytest.raises(UnavailableError, match=r"longer than 0\.01 s"):
        UndoCommand("sleep 5", timeout=0.01).back(None)


def test_a_replica_forgets_in_the_service_s_place(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    url, state = server
    script = tmp_path / "replica.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from tests.services.http.fake_server import served

            with served() as (url, state):
                print(url, flush=True)
                sys.stdin.read()
            """
        )
    )
    service = _service(url, undo=Replica(f"{sys.executable} {script}"))
    before = service.predict(IMAGES)
    with service.after(ONE, KEY) as left:
        after = left.predict(IMAGES)
        process = service.undo._process
        assert process.poll() is None
    assert not np.array_equal(after, before)
    assert process.poll() is not None
    assert np.array_equal(service.predict(IMAGES), before)
    assert state.deletions == {}
    assert service.sent.images == 3 * 6 + 6  # two predictions here, one and a deletion there


def test_a_replica_without_a_url_is_told_and_ended(server):
    url, _ = server
    service = _service(url, undo=Replica(f"{sys.executable} -c 'print(\"ready\")'"))
    with pytest.raises(RefusedError, match="prints no URL of a replica as its first line"), service.after(ONE, KEY):
        pass
    assert service.undo._process is None


def test_an_audit_over_http_finds_what_one_in_memory_finds(server):
    url, _ = server
    model, data = Model(), _splits()

    def forget(images, labels):
        model.forget(images, labels)

    # The deletion's schema has pixels in [0, 1], as the model has.
    local = CallableService(SPEC, model.predict, forget, model.reset, pixels=PixelFormat("NHWC", "unit"))
    settings = {"class_a": "a", "class_b": "b", "fraction": 0.2, "seeds": (0, 1), "attacks": ("normal", "pushing_2")}
    client = HttpClient(url, settings=ClientSettings(batch_size=64))
    remote = HttpService(SPEC, client, OpenInference("m", output="predict_proba", datatype="FP64"), polling=QUICK)
    told = []
    found, expected = ou.audit(remote, data, **settings, on_progress=told.append), ou.audit(local, data, **settings)
    assert found.headline == expected.headline
    for one, other in zip(found.rows, expected.rows, strict=True):
        for name in ("queries", "class_a", "class_b", "overall", "submitted", "l2_mean"):
            assert one[name] == pytest.approx(other[name], abs=1e-6), name
    assert "images in" in told[-1]


def test_diverged_is_no_other_error():
    assert not issubclass(RefusedError, DivergedError)
