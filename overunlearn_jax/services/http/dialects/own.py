"""Any other service: two functions of the user's own."""

from collections.abc import Callable
from typing import Any

import numpy as np

from overunlearn_jax.services.http.dialects.base import Description, Get, Parts
from overunlearn_jax.user_code import running

ToRequest = Callable[[np.ndarray], Any]
FromResponse = Callable[[bytes, int], Any]


class OwnDialect:
    """A dialect of two functions.

    Args:
      to_request: of images (n, ...) in the service's pixel format to `(path, content)` or `(path, content,
        content_type)`: content as bytes, path behind the service's URL.
      from_response: of the body and the number of images: what `answers.as_probabilities` takes, such as an array
        (n, k).
      images_per_request: at most; None: no limit of its own.
    """

    def __init__(self, to_request: ToRequest, from_response: FromResponse, *, images_per_request: int | None = None):
        for name, function in (("to_request", to_request), ("from_response", from_response)):
            if not callable(function):
                raise ValueError(f"{name} is a {type(function).__name__}; expected a function")
        self._to_request, self._from_response = to_request, from_response
        self.images_per_request = images_per_request

    def describe(self, get: Get) -> Description:
        """Nothing: what the functions do not know nobody asks."""
        del get  # Unused: the functions know the service.
        return Description()

    def to_request(self, images: np.ndarray) -> Parts:
        """Raises UserCodeError for what the function raised, ValueError for something else than a request."""
        with running("to_request", "to_request(images)"):
            parts = self._to_request(images)
        if not isinstance(parts, tuple) or not 2 <= len(parts) <= 3 or not isinstance(parts[1], bytes):
            raise ValueError(
                f"to_request returned a {type(parts).__name__}; expected (path, content) or (path, content, "
                "content_type), content as bytes"
            )
        return Parts(*parts)

    def from_response(self, body: bytes, count: int) -> Any:
        """Raises UserCodeError for what the function raised."""
        with running("from_response", "from_response(body, count)"):
            return self._from_response(body, count)
