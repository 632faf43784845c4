"""What comes over a connection and is no whole request: half a body, a gigabyte, nothing at all; and the end of it."""

import contextlib
import json
import socket
import time
import urllib.parse
from collections.abc import Iterator

import pytest

pytest.importorskip("overunlearn_jax.server", exc_type=ImportError)

from overunlearn_jax.server.settings import ServerSettings
from tests.server.small_service import ALICE, SPLITS, Gated, Running, running, submission

GIGABYTE = 1 << 30
HEAD = f"HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ALICE}\r\nIdempotency-Key: k\r\n"
PATHS = ("/deletions", "/v2/models/model/infer")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("service"), ServerSettings(most_body=100_000, body_seconds=0.5)) as made:
        yield made


def connected(service: Running) -> socket.socket:
    place = urllib.parse.urlsplit(service.client.url)
    return socket.create_connection((place.hostname, place.port), timeout=10)


def read_all(connection: socket.socket) -> tuple[int, dict]:
    """Status and body of an answer, up to the end of the connection."""
    got = b""
    with contextlib.suppress(ConnectionError):  # the service does not read what is still sent
        while part := connection.recv(1 << 16):
            got += part
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)


def eventually_refused(service: Running, code: str) -> None:
    for _ in range(500):
        if any(found == code for _, found in service.refusals()):
            return
        time.sleep(0.01)
    raise AssertionError(f"the journal has no {code}: {service.refusals()}")


@pytest.mark.parametrize("path", PATHS)
def test_a_gigabyte_is_refused_before_it_is_sent(service: Running, path: str):
    with connected(service) as connection:
        connection.sendall(f"POST {path} {HEAD}Content-Length: {GIGABYTE}\r\n\r\n".encode())
        status, body = read_all(connection)
    assert (status, body["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize("path", PATHS)
def test_a_gigabyte_of_unknown_length_is_refused_while_it_is_sent(service: Running, path: str):
    sent, part = 0, b"1" * 10_000
    with connected(service) as connection:
        connection.sendall(f"POST {path} {HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
        connection.settimeout(0.02)
        with contextlib.suppress(ConnectionError):
            while sent < GIGABYTE:
                try:
                    connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
                    sent += len(part)
                    if connection.recv(1, socket.MSG_PEEK):
                        break
                except TimeoutError:
                    pass
        connection.settimeout(10)
        status, body = read_all(connection)
    assert (status, body["error"]["code"]) == (413, "too_large")
    assert sent < 10_000_000


def test_half_a_body_is_journalled(service: Running):
    with connected(service) as connection:
        connection.sendall(f'POST /deletions {HEAD}Content-Length: 1000\r\n\r\n{{"by": "sub'.encode())
    eventually_refused(service, "incomplete_body")
    assert service.served.queue.counts()["pending"] == 0
    assert service.client.send("GET", "/v2/health/ready").status == 200


def test_a_body_that_does_not_come(service: Running):
    with connected(service) as connection:
        connection.sendall(f"POST /deletions {HEAD}Content-Length: 1000\r\n\r\n{{".encode())
        status, body = read_all(connection)
    assert (status, body["error"]["code"]) == (408, "too_slow")
    eventually_refused(service, "too_slow")


def test_what_is_no_http(service: Running):
    with connected(service) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert service.client.send("GET", "/v2/health/live").status == 200


def test_a_stop_leaves_what_is_under_way_in_the_journal(tmp_path):
    forget = Gated()
    with running(tmp_path, ServerSettings(stop_seconds=0.1), forget=forget) as made:
        name = made.client.delete(submission(SPLITS.test.images[:2], SPLITS.test.labels[:2])).body["id"]
        assert forget.begun.wait(10)
    forget.go.set()
    with running(tmp_path) as again:
        assert again.client.wait(name)["status"] == "completed"
        assert again.served.served.version.number == 2


def test_a_stop_waits_for_what_ends_soon(tmp_path):
    forget = Gated()
    with running(tmp_path, forget=forget) as made:
        name = made.client.delete(submission(SPLITS.test.images[:2], SPLITS.test.labels[:2])).body["id"]
        assert forget.begun.wait(10)
        forget.go.set()
    with running(tmp_path, forget=forget) as again:
        assert again.client.wait(name)["model_version"] == "2"
        assert forget.calls == 1


def test_bodies_that_are_read_are_bounded(tmp_path):
    with running(tmp_path, ServerSettings(most_bodies=1, body_seconds=5)) as made:
        with connected(made) as slow:
            slow.sendall(f"POST /deletions {HEAD}Content-Length: 1000\r\n\r\n{{".encode())
            for _ in range(500):
                got = made.client.infer(SPLITS.test.images[:1])
                if got.status != 200:
                    break
                time.sleep(0.01)
            assert (got.status, got.code, got.headers["Retry-After"]) == (503, "overloaded", "1")
        eventually_refused(made, "incomplete_body")
        assert made.client.infer(SPLITS.test.images[:1]).status == 200


def test_answers_are_sent_at_once(service: Running):
    """Not after the 40 ms that a socket waits for an acknowledgement of its last packet."""
    with connected(service) as connection:
        seconds = []
        for _ in range(9):
            began = time.perf_counter()
            connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            got = b""
            while b'{"live":true}' not in got:
                got += connection.recv(1 << 16)
            seconds.append(time.perf_counter() - began)
    assert sorted(seconds)[2] < 0.03
