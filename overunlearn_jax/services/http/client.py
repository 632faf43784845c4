"""Requests to a service: one connection pool, a token, a rate limit, time-outs, and what may be tried again."""

import json
import random
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from overunlearn_jax.services.http.errors import ADVICE, RefusedError, UnavailableError, shortened
from overunlearn_jax.services.http.packages import import_http
from overunlearn_jax.services.http.reading import UnusableBodyError, read_body, read_words, seconds_to_wait
from overunlearn_jax.services.http.secret import Secret
from overunlearn_jax.services.http.settings import DEFAULTS, ClientSettings, Sent, checked_settings, checked_url

AGAIN = (429, 502, 503, 504)  # statuses that pass: too many requests, and what stands before a service that restarts
LONGEST_WAIT = 60.0  # seconds that back-off grows to
LOCAL = ("localhost", "127.0.0.1", "::1")  # hosts that are this machine
Item = TypeVar("Item")
Result = TypeVar("Result")


class HttpClient:
    """A connection pool to one service. Safe to use from several threads.

    Args:
      url: of the service, such as "https://models.example/v2-gateway"; what dialects ask for is put behind it.
      token: sent as `Authorization: Bearer TOKEN`, to this host alone: redirects are not followed.
      settings: time-outs, retries, rate, requests in flight.
      transport: an httpx transport in place of the network, for tests.

    Raises:
      ImportError: httpx or tenacity is not installed.
      ValueError: a URL that is none, or that holds a password or a query: it would stand in logs and manifests.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Secret | None = None,
        settings: ClientSettings = DEFAULTS,
        transport: Any = None,
    ):
        self._httpx, self._tenacity = import_http()
        self.url, self.settings = checked_url(url), checked_settings(settings)
        self._token, self._transport = token, transport
        self._lock, self._next_start, self._sent = threading.Lock(), 0.0, Sent()
        headers = {"Accept-Encoding": "gzip"} | ({"Authorization": f"Bearer {token.reveal()}"} if token else {})
        self._client = self._httpx.Client(
            timeout=self._httpx.Timeout(settings.timeout, connect=settings.connect_timeout),
            limits=self._httpx.Limits(max_connections=settings.in_flight, max_keepalive_connections=settings.in_flight),
            headers=headers,
            transport=transport,
        )
        weakref.finalize(self, self._client.close)  # nobody need close what is no longer used

    @property
    def host(self) -> str:
        """Of the URL."""
        return str(self._httpx.URL(self.url).host)

    @property
    def origin(self) -> str:
        """Scheme, host and port of the URL: who gets the token."""
        url = self._httpx.URL(self.url)
        return f"{url.scheme}://{url.netloc.decode()}"

    @property
    def exposes_token(self) -> bool:
        """Whether a token travels unencrypted to another machine."""
        return self._token is not None and self.url.startswith("http:") and self.host not in LOCAL

    @property
    def sent(self) -> Sent:
        """What has been sent so far."""
        with self._lock:
            return self._sent

    def at(self, url: str) -> "HttpClient":
        """A client of the same token and settings for another address, such as a replica's; it counts for itself."""
        return HttpClient(url, token=self._token, settings=self.settings, transport=self._transport)

    def call(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        images: int = 0,
        scores: int = 0,
    ) -> bytes:
        """The body of what the service answers.

        Args:
          method: of HTTP.
          path: behind the client's URL, with a leading slash.
          content: body of the request; JSON unless `headers` say otherwise.
          headers: beside the token.
          images: how many the body holds, for the counter.
          scores: numbers that the answer may hold, images times classes: how many bytes are read depends on it.

        Raises:
          RefusedError: a status of 300 or more that does not pass by waiting, or an answer of too many bytes.
          UnavailableError: no answer, or one that asks to wait, however often it was tried.
        """
        attempts = self.settings.retries + 1
        try:
            for attempt in self._tenacity.Retrying(
                stop=self._tenacity.stop_after_attempt(attempts),
                retry=self._tenacity.retry_if_exception_type(_PassingError),
                wait=self._wait,
                sleep=time.sleep,
                reraise=True,
            ):
                with attempt:
                    number = attempt.retry_state.attempt_number
                    return self._once(method, path, content, headers or {}, images, scores, again=number > 1)
        except _PassingError as last:  # what httpx raises holds the request, and that the token: from None
            raise UnavailableError(
                f"{method} {self.url}{path}: no answer after {attempts} attempts ({last}): see whether the service "
                "runs, raise --service_retries or --request_timeout, or lower --request_rate or --requests_in_flight"
            ) from None
        raise AssertionError("tenacity returns or raises")

    def get_json(self, path: str) -> Any:
        """What GET answers, parsed. Raises RefusedError where it is no JSON."""
        return self.parsed(path, self.call("GET", path))

    def post_json(self, path: str, body: Any, *, headers: Mapping[str, str] | None = None, images: int = 0) -> Any:
        """What POST of a JSON body answers, parsed. Raises RefusedError where it is no JSON."""
        content = json.dumps(body, separators=(",", ":")).encode()
        return self.parsed(path, self.call("POST", path, content=content, headers=headers, images=images))

    def parsed(self, path: str, body: bytes) -> Any:
        """A body as JSON; empty: None. Raises RefusedError where it is none."""
        try:
            return json.loads(body) if body.strip() else None
        except ValueError as error:
            text = self._redacted(shortened(body.decode(errors="replace")))
            raise RefusedError(f"{self.url}{path} answered what is no JSON: {text!r}") from error

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`function` of every item, `in_flight` at a time; the first error ends what has not begun."""
        if len(items) == 1 or self.settings.in_flight == 1:
            return [function(item) for item in items]
        with ThreadPoolExecutor(self.settings.in_flight) as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                return [future.result() for future in futures]
            finally:
                for future in futures:
                    future.cancel()

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _once(
        self,
        method: str,
        path: str,
        content: bytes | None,
        headers: Mapping[str, str],
        images: int,
        scores: int,
        *,
        again: bool,
    ) -> bytes:
        kind = {"Content-Type": "application/json"} if content is not None else {}
        self._wait_for_turn()
        with self._lock:
            more = Sent(images, images * again, 1, int(again))
            self._sent = Sent(*(one + other for one, other in zip(self._sent, more, strict=True)))
        try:
            with self._client.stream(method, self.url + path, content=content, headers={**kind, **headers}) as answer:
                status: int = answer.status_code
                if status < 300:
                    return read_body(answer, scores)
                words = self._redacted(read_words(answer))
        except self._httpx.TransportError as error:
            raise _PassingError(self._redacted(f"{type(error).__name__}: {error}")) from None
        except UnusableBodyError as error:
            raise RefusedError(f"{method} {self.url}{path}: the answer cannot be used: {error}", status) from None
        if status in AGAIN:
            after = seconds_to_wait(answer.headers.get("Retry-After"))
            if after is not None and after > self.settings.longest_retry_after:
                raise UnavailableError(
                    f"{method} {self.url}{path}: status {status}, and it asks to come back in {after:,.0f} s: try "
                    "again later, or lower --request_rate or --requests_in_flight"
                )
            raise _PassingError(f"status {status} {words}", after)
        advice = ADVICE.get(status, "the service failed, or something before it did: see its log")
        raise RefusedError(f"{method} {self.url}{path}: status {status} {words}: {advice}", status)

    def _wait(self, state: Any) -> float:
        """Seconds until the next attempt: what the service asks for, else longer each time, and never all at once."""
        error: _PassingError = state.outcome.exception()
        if error.after is not None:
            return error.after
        return min(LONGEST_WAIT, self.settings.wait * 2 ** (state.attempt_number - 1)) * random.uniform(0.5, 1.0)

    def _wait_for_turn(self) -> None:
        if not self.settings.rate:
            return
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next_start)
            self._next_start = start + 1 / self.settings.rate
        time.sleep(max(0.0, start - now))

    def _redacted(self, text: str) -> str:
        return self._token.redact(text) if self._token else text


class _PassingError(Exception):
    """It may work the next time; `after`: seconds that the service wants to be left alone."""

    def __init__(self, message: str, after: float | None = None):
        super().__init__(message)
        self.after = after
