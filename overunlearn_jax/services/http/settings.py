"""How a service is talked to, what was sent to it, and addresses that may be asked."""

from typing import NamedTuple

from overunlearn_jax.services.http.packages import import_http


class ClientSettings(NamedTuple):
    """How a service is talked to."""

    timeout: float = 60.0  # seconds that one request may take to be answered
    connect_timeout: float = 10.0  # seconds to a connection
    retries: int = 5  # times that a request is sent again, after 429, 502, 503, 504 or a broken connection
    wait: float = 1.0  # seconds before the first of them, twice as long each time; Retry-After goes before
    longest_retry_after: float = 300.0  # seconds; a service that wants more is not waited for
    rate: float = 0.0  # requests a second, at most; 0: no limit
    in_flight: int = 4  # requests under way at a time
    batch_size: int = 32  # images in a request


DEFAULTS = ClientSettings()


class Sent(NamedTuple):
    """What has been sent so far; requests that are sent again count again, and so do their images."""

    images: int = 0
    images_again: int = 0  # of these, those sent again
    requests: int = 0
    requests_again: int = 0

    def __str__(self) -> str:
        return (
            f"{self.images:,} images in {self.requests:,} requests sent, {self.images_again:,} images and "
            f"{self.requests_again:,} requests of them again"
        )


def checked_url(url: str) -> str:
    """The URL without a slash at its end. Raises ValueError for one that is none, or that holds a secret."""
    httpx = import_http()[0]
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError):
        parsed = httpx.URL("")
    if parsed.userinfo or parsed.query:
        raise ValueError(
            "the service's URL holds a password or a query, which would stand in logs and manifests: leave them out "
            "and give a token by --token_env or --token_file"
        )
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"the service's URL is {url!r}; expected http://HOST:PORT or https://HOST, and a path")
    return str(parsed).rstrip("/")


def checked_settings(settings: ClientSettings) -> ClientSettings:
    """The settings. Raises ValueError, with its name, for one that is out of its limits."""
    for name, least in (("retries", 0), ("in_flight", 1), ("batch_size", 1)):
        value = getattr(settings, name)
        if not isinstance(value, int) or value < least:
            raise ValueError(f"{name} is {value}; expected a whole number, at least {least}")
    for name in ("timeout", "connect_timeout", "wait", "longest_retry_after", "rate"):
        value = getattr(settings, name)
        if not 0 <= value < float("inf") or (name.endswith("timeout") and value == 0):
            raise ValueError(f"{name} is {value}; expected seconds, or requests a second, of 0 or more")
    return settings
