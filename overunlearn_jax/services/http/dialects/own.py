"""Any other service: two functions of the user's own.

A service that takes `POST /score` with `{"pictures": [...]}` and answers `{"results": ...}`, for each picture a list of
`{"name": ..., "confidence": ...}`, is asked by this my_dialect.py, in the current folder or on PYTHONPATH:

    import json
    from overunlearn_jax.services.http import OwnDialect

    def to_request(images):  # (n, h, w, c), float32 in [0, 1]
        return "/score", json.dumps({"pictures": images.tolist()}).encode()

    def from_response(body, count):
        results = json.loads(body)["results"]
        return [[{"label": each["name"], "score": each["confidence"]} for each in one] for one in results]

    def make():
        return OwnDialect(to_request, from_response)

    overunlearn probe http://localhost:8000 --dialect=my_dialect:make --dataset=photos.npz --class_a=cat --class_b=dog

`probe` deletes nothing, and shows whether the two functions fit; `audit --service_url=URL` takes the same flags.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from overunlearn_jax.services.http.dialects.base import Description, Get, Parts
from overunlearn_jax.user_code import running

ToRequest = Callable[[np.ndarray], Any]
FromResponse = Callable[[bytes, int], Any]


class OwnDialect:
    """A dialect of two functions, which are called from several threads at a time.

    Args:
      to_request: of images to `(path, content)` or `(path, content, content_type)`: content as bytes, path behind the
        service's URL, type "application/json" if none is given. Images are (n, h, w, c), float32 in [0, 1], or what
        `--service_layout` and `--service_pixels` say; n is at most `--service_batch`.
      from_response: of the body as bytes and n to a list or array of n rows, in the order of the images. A row is k
        probabilities in the order of the data's classes; a label, by name or number; a list of any number of
        `{"label": ..., "score": ...}`; or `{name: score}`. `services/http/answers.py` says what becomes of classes
        that are not answered.
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
        """Asks the user's function.

        Args:
          images: shape=(n, h, w, c), dtype=float32 in [0, 1], or the format that the service was said to have.

        Returns:
          Path, content and type of the request.

        Raises:
          UserCodeError: what the function raised.
          ValueError: something else than a request came back.
        """
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
