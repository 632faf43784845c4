"""MLflow's model server: `POST /invocations`. https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from overunlearn_jax.services.http.dialects.base import Description, Get, Parts, from_json, member, to_json

FORMS = ("inputs", "instances", "dataframe_split")


class Mlflow:
    """`inputs`, `instances`, or `dataframe_split` for models whose signature has columns.

    Args:
      form: one of `FORMS`.
      columns: their names, a pixel each, in the order of a flat image; with "dataframe_split" alone. Empty: numbers.
    """

    images_per_request = None

    def __init__(self, form: str = "inputs", *, columns: Sequence[str] = ()):
        if form not in FORMS:
            raise ValueError(f"form is {form!r}; expected one of {', '.join(FORMS)}")
        if columns and form != "dataframe_split":
            raise ValueError(f"columns are given with form={form!r}; they are of 'dataframe_split'")
        self._form, self._columns = form, tuple(columns)

    def describe(self, get: Get) -> Description:
        """Nothing: `/ping` and `/version` say that it runs, and no more."""
        del get  # Unused: what it answers has no shapes.
        return Description(words="MLflow's server says nothing of shapes")

    def to_request(self, images: np.ndarray) -> Parts:
        """Images in the form that was chosen.

        Args:
          images: shape=(n, h, w, c) or (n, h * w * c), in the service's own format.

        Returns:
          Path, content and type of the request.

        Raises:
          ValueError: a number of columns that is not that of pixels.
        """
        if self._form != "dataframe_split":
            return Parts("/invocations", to_json({self._form: images.tolist()}))
        flat = images.reshape(len(images), -1)
        if self._columns and len(self._columns) != flat.shape[1]:
            raise ValueError(f"{len(self._columns)} columns for images of {flat.shape[1]} numbers; expected one each")
        columns: Sequence[object] = self._columns or range(flat.shape[1])
        return Parts("/invocations", to_json({"dataframe_split": {"columns": [*columns], "data": flat.tolist()}}))

    def from_response(self, body: bytes, count: int) -> Any:
        """`predictions`; older servers answer the bare list."""
        answer = from_json(body)
        return answer if isinstance(answer, list) else member(answer, ("predictions",), "MLflow")
