"""KServe's first protocol and TensorFlow Serving: `POST /v1/models/M:predict`.

https://www.tensorflow.org/tfx/serving/api_rest
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from overunlearn_jax.services.http.dialects.base import Description, Get, Parts, from_json, member, to_json


class TensorFlowServing:
    """`instances` and `predictions`, by rows, or `inputs` and `outputs`, by columns.

    Args:
      model: its name on the server.
      version: of the model; empty: whichever the server takes.
      by_columns: whether `inputs` are sent in place of `instances`.
      input_name: of models with named inputs: each instance is then `{input_name: pixels}`.
      output: of models with named outputs; empty: the only one.
    """

    images_per_request = None

    def __init__(
        self, model: str, *, version: str = "", by_columns: bool = False, input_name: str = "", output: str = ""
    ):
        if not model:
            raise ValueError("--dialect=v1 needs the model's name on the server: give --model_name")
        self._path = f"/v1/models/{model}" + (f"/versions/{version}" if version else "")
        self._columns, self._input, self._output = by_columns, input_name, output

    def describe(self, get: Get) -> Description:
        """From `GET /v1/models/M`, which knows no shapes. Raises RefusedError for a model that is not there."""
        get(self._path)
        return Description(words=f"{self._path} is there; this protocol says nothing of shapes")

    def to_request(self, images: np.ndarray) -> Parts:
        """By rows or by columns.

        Args:
          images: shape=(n, h, w, c), (n, c, h, w) or (n, h * w * c), in the service's own format.

        Returns:
          Path, content and type of the request.
        """
        pixels = images.tolist()
        if self._columns:
            body = {"inputs": {self._input: pixels} if self._input else pixels}
        else:
            body = {"instances": [{self._input: each} for each in pixels] if self._input else pixels}
        return Parts(f"{self._path}:predict", to_json(body))

    def from_response(self, body: bytes, count: int) -> Any:
        """`predictions`, or `outputs`."""
        answer = member(from_json(body), ("predictions", "outputs"), "TensorFlow Serving")
        if isinstance(answer, Mapping):
            return member(answer, (self._output,) if self._output else tuple(answer)[:1], "--output_name")
        if self._output and isinstance(answer, list):
            return [member(each, (self._output,), "--output_name") for each in answer]
        return answer
