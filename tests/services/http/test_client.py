"""What the client does when a service says no, not now, or nothing; and that its token shows nowhere."""

import gzip
import logging
import pickle
import time
import traceback
import tracemalloc
import zlib

import numpy as np
import pytest

from overunlearn_jax.black_box import BlackBox, VictimUnavailableError
from overunlearn_jax.services.http import (
    ClientSettings,
    HttpClient,
    HttpService,
    RefusedError,
    TensorFlowServing,
    UnavailableError,
    reading,
    token_from,
)
from tests.services.http.fake_server import SPEC, TOKEN

QUICK = ClientSettings(wait=0.001, retries=2)
IMAGES = np.zeros((8, *SPEC.image_shape), np.float32)


def _fails(status, headers=None, body=b"busy"):
    return lambda: (status, body, headers or {})


@pytest.mark.parametrize("status", [429, 502, 503, 504, 0])
def test_what_passes_is_tried_again_and_counted(server, status):
    url, state = server
    client = HttpClient(url, settings=QUICK)
    service = HttpService(SPEC, client, TensorFlowServing("m"))
    state.trouble = [_fails(status), _fails(status)]
    box = BlackBox(SPEC, service.predict)
    box.query(IMAGES)
    assert box.queries == 8
    assert service.sent == (24, 16, 4, 2)  # images, of them again, requests, of them again
    assert str(service.sent) == "24 images in 4 requests sent, 16 images and 2 requests of them again"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 500, 302])
def test_a_no_is_not_asked_again_and_says_what_to_do(server, status):
    url, state = server
    client = HttpClient(url, settings=QUICK)
    state.trouble = [_fails(status, body=b'{"error": {"code": "x", "message": "the reason"}}')]
    with pytest.raises(RefusedError, match=rf"POST {url}/x: status {status} \(the reason\): \w") as raised:
        client.post_json("/x", {})
    assert raised.value.status == status
    assert len(state.received) == 1


def test_a_black_box_with_retries_does_not_ask_again_after_a_no(server):
    url, state = server
    service = HttpService(SPEC, HttpClient(url, settings=QUICK), TensorFlowServing("m"))
    state.token = TOKEN
    with pytest.raises(RefusedError, match="--token_env"):
        BlackBox(SPEC, service.predict, retries=3, wait=0.0).query(IMAGES)
    assert len(state.received) == 2  # metadata and one no


def test_a_service_that_stays_away_is_unavailable_and_the_black_box_may_go_on_asking(server):
    url, state = server
    service = HttpService(SPEC, HttpClient(url, settings=QUICK), TensorFlowServing("m"))
    state.trouble = [_fails(503)] * 3
    with pytest.raises(UnavailableError, match=r"no answer after 3 attempts \(status 503 \(busy\)\): see whether"):
        service.predict(IMAGES)
    state.trouble = [_fails(503)] * 4
    assert BlackBox(SPEC, service.predict, retries=1, wait=0.0).query(IMAGES).shape == (8, 4)
    state.trouble = [_fails(503)] * 6
    with pytest.raises(VictimUnavailableError, match="2 attempts"):
        BlackBox(SPEC, service.predict, retries=1, wait=0.0).query(IMAGES)


def test_nobody_listens():
    pytest.importorskip("httpx")
    with pytest.raises(UnavailableError, match="ConnectError"):
        HttpClient("http://127.0.0.1:9", settings=QUICK).get_json("/v2")


def test_retry_after_is_kept_in_seconds_and_as_a_date_and_refused_where_it_is_too_long(server):
    url, state = server
    client = HttpClient(url, settings=ClientSettings(wait=30.0, retries=2))
    state.trouble = [_fails(429, {"Retry-After": "0.2"}), _fails(503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})]
    began = time.monotonic()
    client.get_json("/v1/models/m")
    assert 0.2 <= time.monotonic() - began < 5
    state.trouble = [_fails(429, {"Retry-After": "86400"})]
    with pytest.raises(UnavailableError, match="asks to come back in 86,400 s"):
        client.get_json("/v1/models/m")
    assert state.trouble == []


def test_the_rate_is_kept_and_requests_share_connections(server):
    url, state = server
    settings = ClientSettings(rate=50, in_flight=4, batch_size=1)
    service = HttpService(SPEC, HttpClient(url, settings=settings), TensorFlowServing("m"))
    began = time.monotonic()
    service.predict(IMAGES)
    assert time.monotonic() - began >= 7 / 50
    assert len(state.received) == 9


def test_answers_stay_in_the_order_of_the_images_with_several_requests_in_flight(server):
    url, state = server
    images = np.random.default_rng(0).uniform(-0.5, 0.5, (20, *SPEC.image_shape)).astype(np.float32)
    settings = ClientSettings(in_flight=8, batch_size=3)
    answered = HttpService(SPEC, HttpClient(url, settings=settings), TensorFlowServing("m")).predict(images)
    np.testing.assert_allclose(answered, state.model.predict(images + 0.5), atol=1e-6)


def test_the_token_is_sent_and_shows_nowhere(server, monkeypatch, tmp_path, caplog):
    url, state = server
    state.token = TOKEN
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    caplog.set_level(logging.DEBUG)
    shown = []
    for token in (token_from(env="MY_TOKEN"), token_from(file=tmp_path / "token")):
        service = HttpService(SPEC, HttpClient(url, token=token, settings=QUICK), TensorFlowServing("m"))
        assert service.predict(IMAGES).shape == (8, 4)
        shown += [repr(token), str(token), f"{token}", repr(service), str(vars(service.client)), service.source]
        shown += [str(state.deletions)]
        with pytest.raises(TypeError, match="not pickled") as raised:
            pickle.dumps(token)
        shown.append("".join(traceback.format_exception(raised.value)))
        state.trouble = [_fails(500, body=f"you said Bearer {TOKEN}".encode())]  # servers may repeat what they got
        with pytest.raises(RefusedError) as raised:
            service.predict(IMAGES)
        shown.append("".join(traceback.format_exception(raised.value)))
        state.trouble = [_fails(503, body=TOKEN.encode())] * 3
        with pytest.raises(UnavailableError) as raised:
            service.predict(IMAGES)
        shown.append("".join(traceback.format_exception(raised.value)))
        state.trouble = [_fails(200, body=f"no JSON, {TOKEN}".encode())]
        with pytest.raises(RefusedError) as raised:
            service.client.get_json("/x")
        shown.append("".join(traceback.format_exception(raised.value)))
    assert TOKEN not in "".join(shown) + caplog.text
    assert "***" in "".join(shown)


def test_a_token_goes_to_its_own_host_alone(server):
    url, state = server
    state.trouble = [_fails(307, {"Location": "http://localhost:9/elsewhere"})]
    with pytest.raises(RefusedError, match="307"):
        HttpClient(url, token=token_from(), settings=QUICK).get_json("/x")


def test_a_small_answer_cannot_fill_the_memory(server):
    url, state = server
    packer = zlib.compressobj(1, wbits=31)
    packed = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(200)) + packer.flush()
    client = HttpClient(url, settings=QUICK)
    state.trouble = [
        _fails(200, {"Content-Encoding": "gzip"}, packed),
        _fails(500, {"Content-Encoding": "gzip"}, packed),
    ]
    tracemalloc.start()
    try:
        with pytest.raises(
            RefusedError, match=r"GET .*/x: the answer cannot be used: it has more than 16,777,216 bytes"
        ):
            client.get_json("/x")
        with pytest.raises(RefusedError, match="status 500"):  # its words are cut
            client.get_json("/x")
        assert tracemalloc.get_traced_memory()[1] < 60 << 20
    finally:
        tracemalloc.stop()
    state.trouble = [_fails(200, {}, b" " * (17 << 20))]
    with pytest.raises(RefusedError, match="more than 16,777,216 bytes"):
        client.get_json("/x")
    assert len(state.received) == 3, "none is asked for again"


def test_the_size_of_an_answer_follows_what_was_asked_for(server, monkeypatch):
    url, state = server
    service = HttpService(SPEC, HttpClient(url, settings=QUICK), TensorFlowServing("m"))
    monkeypatch.setattr(reading, "FLOOR", 0)
    monkeypatch.setattr(reading, "A_SCORE", 64)
    assert service.predict(IMAGES).shape == (8, 4)
    state.trouble = [_fails(200, {}, b" " * (8 * 4 * 64 + 1))]
    with pytest.raises(RefusedError, match="more than 2,048 bytes"):
        service.predict(IMAGES)


def test_packed_answers(server):
    url, state = server
    client = HttpClient(url, settings=QUICK)
    whole = gzip.compress(b'{"a": 1}')
    state.trouble = [_fails(200, {"Content-Encoding": "gzip"}, whole), _fails(200, {"Content-Encoding": "gzip"}, b"")]
    assert client.get_json("/x") == {"a": 1}
    assert client.get_json("/x") is None
    assert state.received[0][2]["Accept-Encoding"] == "gzip"
    for packing, body, words in (
        ("gzip", whole[:-4], "its gzip is cut short"),
        ("gzip", b"{}", "it is no gzip"),
        ("br", b"{}", "it is packed as 'br'; expected gzip"),
    ):
        state.trouble = [_fails(200, {"Content-Encoding": packing}, body)]
        with pytest.raises(RefusedError, match=words):
            client.get_json("/x")


def test_who_gets_the_token_and_whether_it_is_seen_on_the_way(needs_http, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    token = token_from(env="MY_TOKEN")
    assert HttpClient("https://a.example:443/x").origin == HttpClient("https://a.example").origin == "https://a.example"
    assert HttpClient("https://a.example:8443").origin != HttpClient("https://a.example").origin
    assert HttpClient("http://a.example", token=token).exposes_token
    for url, given in (("https://a.example", token), ("http://localhost:1", token), ("http://a.example", None)):
        assert not HttpClient(url, token=given).exposes_token


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("models.example", "expected http://HOST"),
        ("ftp://models.example", "expected http://HOST"),
        ("http://user:pa55word@models.example", "password or a query"),
        ("http://models.example/x?key=pa55word", "password or a query"),
    ],
)
def test_urls_that_are_none_or_hold_a_secret(url, words):
    pytest.importorskip("httpx")
    with pytest.raises(ValueError, match=words) as raised:
        HttpClient(url)
    assert "pa55word" not in str(raised.value)


def test_tokens_that_are_none(monkeypatch, tmp_path):
    assert token_from() is None
    monkeypatch.setenv("TWO_WORDS", "one two-and-more")
    monkeypatch.delenv("MISSING", raising=False)
    (tmp_path / "empty").write_text("\n")
    for given, words in (
        ({"env": "MISSING"}, "no environment variable"),
        ({"env": "TWO_WORDS"}, "holds no token"),
        ({"file": tmp_path / "empty"}, "holds no token"),
        ({"file": tmp_path / "missing"}, "cannot be read"),
        ({"env": "A", "file": "b"}, "one of the two"),
    ):
        with pytest.raises(ValueError, match=words) as raised:
            token_from(**given)
        assert "one two" not in str(raised.value)


@pytest.mark.parametrize("name", ["retries", "in_flight", "batch_size", "timeout", "rate"])
def test_settings_that_are_none(name):
    pytest.importorskip("httpx")
    with pytest.raises(ValueError, match=name):
        HttpClient("http://localhost", settings=ClientSettings(**{name: -1}))


def test_without_httpx_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "httpx", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[http\]'"):
        HttpClient("http://localhost")
