"""Logs and metrics: a line for each request and each deletion, numbers for Prometheus, and never a token."""

import io
import json

import pytest

pytest.importorskip("overunlearn_jax.server", exc_type=ImportError)

from overunlearn_jax.server.logs import JsonLines
from overunlearn_jax.server.tokens import (
    ADMIN,
    CLIENT,
    Holder,
    Tokens,
    read_or_make_tokens,
    token_of,
    write_token_files,
)
from tests.server.small_service import ALICE, BOB, BOSS, SPLITS, running, submission

IMAGES, LABELS = SPLITS.test.images[:2], SPLITS.test.labels[:2]


def test_lines_and_no_token_anywhere(tmp_path):
    stream = io.StringIO()
    with running(tmp_path, log=JsonLines(stream)) as made:
        made.client.infer(IMAGES)
        made.client.send("GET", f"/receipts?token={ALICE}")
        made.as_(BOB + "x").send("GET", "/receipts")
        name = made.client.delete(submission(IMAGES, LABELS), "a key").body["id"]
        made.client.wait(name)
        made.as_(BOSS).send("POST", "/snapshots")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    [infer] = [line for line in requests if line["route"] == "POST /v2/models/model/infer"]
    assert (infer["status"], infer["images"], infer["model_version"], infer["owner"]) == (200, 2, "1", "alice")
    assert infer["ms"] > 0
    assert infer["request_id"]
    [refused] = [line for line in requests if line["status"] == 401]
    assert refused["code"] == "unauthorized"
    events = [line["event"] for line in lines if line["event"] != "request"]
    assert events == ["opened", "deletion_begins", "deletion_completed", "stopped"]
    assert all(line["time"].endswith("+00:00") for line in lines)
    everywhere = [stream.getvalue().encode(), *(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())]
    for token in (ALICE, BOB, BOSS):
        assert not any(token.encode() in each for each in everywhere)


def test_an_error_of_the_service_is_told_in_its_log_alone(tmp_path, monkeypatch):
    stream = io.StringIO()
    with running(tmp_path, log=JsonLines(stream)) as made:

        def fails(*_):
            raise ZeroDivisionError("a secret")

        monkeypatch.setattr(made.served, "predict", fails)
        got = made.client.infer(IMAGES)
        assert (got.status, got.code) == (500, "internal")
        assert "secret" not in got.body["error"]["message"]
        monkeypatch.undo()
        assert made.client.infer(IMAGES).status == 200
    [line] = [json.loads(line) for line in stream.getvalue().splitlines() if '"event": "error"' in line]
    assert "ZeroDivisionError" in line["trace"]
    assert line["request_id"] == got.headers["x-request-id"]


def test_metrics(tmp_path):
    with running(tmp_path) as made:
        made.client.infer(IMAGES)
        made.client.wait(made.client.delete(submission(IMAGES, LABELS)).body["id"])
        made.client.send("GET", "/no/such/path")
        text = made.client.send("GET", "/metrics").body
    for line in (
        "predicted_images_total 2.0",
        "model_version 2.0",
        'deletions{status="completed"} 1.0',
        'http_requests_total{route="POST /deletions",status="202"} 1.0',
        'http_requests_total{route="none",status="404"} 1.0',
        'http_request_seconds_count{route="POST /v2/models/model/infer"} 1.0',
    ):
        assert line in text.splitlines(), text


def test_the_tokens_file(tmp_path):
    path = tmp_path / "tokens.json"
    made = read_or_make_tokens(path, ("alice", "bob"))
    assert sorted(made.values()) == [Holder(ADMIN, ADMIN), Holder("alice", CLIENT), Holder("bob", CLIENT)]
    assert path.stat().st_mode & 0o077 == 0
    assert read_or_make_tokens(path, ("others",)) == made
    assert Tokens(made).holder(f"Bearer {token_of(path, 'bob')}").owner == "bob"
    with pytest.raises(ValueError, match="no token of carol"):
        token_of(path, "carol")
    path.write_text('{"x": 1}')
    with pytest.raises(ValueError, match="holds no tokens"):
        read_or_make_tokens(path, ())


def test_a_file_for_each_token(tmp_path):
    a, b, c = "a" * 16, "b" * 16, "c" * 16
    folder = tmp_path / "tokens"
    write_token_files(folder, {c: Holder("gone", CLIENT)})
    holders = {a: Holder("alice", CLIENT), b: Holder(ADMIN, ADMIN), c: Holder("alice", CLIENT)}
    assert write_token_files(folder, holders) == ["alice", ADMIN]
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"alice": f"{a}\n", ADMIN: f"{b}\n"}
    assert not [path for path in folder.iterdir() if path.stat().st_mode & 0o077]
    for wrong in ("../alice", "..", "", ".hidden"):
        with pytest.raises(ValueError, match="cannot name a file"):
            write_token_files(folder, {a: Holder(wrong, CLIENT)})


@pytest.mark.parametrize(
    ("holders", "told"),
    [
        ({}, "there are no tokens"),
        ({"short": Holder("a", CLIENT)}, "5 characters"),
        ({"x" * 20: Holder("a", "king")}, "the role of a is 'king'"),
    ],
)
def test_tokens_that_are_none(holders, told):
    with pytest.raises(ValueError, match=told):
        Tokens(holders)
