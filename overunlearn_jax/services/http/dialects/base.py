"""What every dialect has: images to a request, a body to an answer, and what the service says of itself."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from overunlearn_jax.black_box import BadAnswerError
from overunlearn_jax.services.http.errors import shortened

JSON = "application/json"


class Parts(NamedTuple):
    """A request: POST of `content` to `path`, behind the service's URL."""

    path: str
    content: bytes
    content_type: str = JSON


class Description(NamedTuple):
    """What a service says of itself; what it does not say is None."""

    image_shape: tuple[int, ...] | None = None  # of one image, -1 for any length
    eight_bit: bool | None = None  # whether pixels are bytes
    classes: int | None = None
    words: str = "the service says nothing of itself"


Get = Callable[[str], Any]  # a path to the parsed JSON of what GET answers; raises RefusedError


class Dialect(Protocol):
    """One way to ask a service, in a file of its own; `dialects/__init__.py` says what else a new one needs.

    `describe` is called once, before the first request; the other two from several threads at a time.
    """

    @property
    def images_per_request(self) -> int | None:
        """At most; None: no limit of its own."""

    def describe(self, get: Get) -> Description:
        """Reads metadata, and remembers what requests need of it."""

    def to_request(self, images: np.ndarray) -> Parts:
        """Images (n, ...) as a request, in the service's pixel format: see `services.pixels.PixelFormat`.

        Unless metadata or flags say otherwise they are (n, h, w, c), float32 in [0, 1]. Raises ValueError for images
        that the service cannot be sent.
        """

    def from_response(self, body: bytes, count: int) -> Any:
        """What a body says of `count` images, as `answers.as_probabilities` takes it: a row for each, in their order.

        Rows are k probabilities, a label, or a list of `{"label": ..., "score": ...}`: other names are translated
        here. Raises BadAnswerError for a body that is something else.
        """


def to_json(body: Mapping[str, Any]) -> bytes:
    """Compact JSON; numbers keep all their digits."""
    return json.dumps(body, separators=(",", ":")).encode()


def from_json(body: bytes) -> Any:
    """Parsed JSON. Raises BadAnswerError for what is none."""
    try:
        return json.loads(body)
    except ValueError as error:
        text = shortened(body.decode(errors="replace"))
        raise BadAnswerError(f"the service answered what is no JSON: {text!r}") from error


def member(body: Any, names: tuple[str, ...], dialect: str) -> Any:
    """The first of the named members that a body has. Raises BadAnswerError where it has none."""
    for name in names:
        if isinstance(body, Mapping) and name in body:
            return body[name]
    has = ", ".join(map(str, body))[:120] if isinstance(body, Mapping) else f"a {type(body).__name__}"
    raise BadAnswerError(f"the service answered {has}; expected {' or '.join(names)}, as {dialect} has it")
