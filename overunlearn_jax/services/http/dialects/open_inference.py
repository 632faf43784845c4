"""Open Inference Protocol, version 2: KServe, Triton, Seldon MLServer, OpenVINO.

https://github.com/kserve/open-inference-protocol, `specification/protocol/inference_rest.md`
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from overunlearn_jax.black_box import BadAnswerError
from overunlearn_jax.services.http.dialects.base import Description, Get, Parts, from_json, member, to_json
from overunlearn_jax.services.http.errors import RefusedError

KINDS = {"FP32": np.float32, "FP64": np.float64, "UINT8": np.uint8}  # of inputs
ANY_NAME = "input-0"  # of the input, for servers whose metadata lists none


class OpenInference:
    """`POST /v2/models/M[/versions/V]/infer`; names, shape and data type of the input come from the metadata.

    Args:
      model: its name on the server.
      version: of the model; empty: whichever the server takes.
      output: to ask for and to read, such as "predict_proba" of MLServer's scikit-learn runtime, which answers labels
        otherwise; empty: the only one, or the first with a number for every class.
      nested: whether `data` is sent as nested lists; most servers take flat ones, the default.
      input_name, datatype: for servers whose metadata lists no inputs; empty: "input-0", and FP32 or, for bytes, UINT8.
    """

    images_per_request = None

    def __init__(
        self,
        model: str,
        *,
        version: str = "",
        output: str = "",
        nested: bool = False,
        input_name: str = "",
        datatype: str = "",
    ):
        if datatype and datatype not in KINDS:
            raise ValueError(f"datatype is {datatype!r}; expected one of {', '.join(KINDS)}")
        if not model:
            raise ValueError("--dialect=v2 needs the model's name on the server: give --model_name")
        self._path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "")
        self._output, self._nested = output, nested
        self._input, self._datatype = input_name, datatype

    def describe(self, get: Get) -> Description:
        """From `GET /v2/models/M`. Raises RefusedError for a model that is not there, or takes no images."""
        metadata = get(self._path)
        inputs = metadata.get("inputs") or [] if isinstance(metadata, Mapping) else []
        outputs = metadata.get("outputs") or [] if isinstance(metadata, Mapping) else []
        classes = next((each["shape"][-1] for each in outputs if len(each.get("shape", [])) == 2), None)
        if not inputs:
            words = f"{self._path} lists no inputs: {self._input or ANY_NAME} is sent"
            return Description(classes=classes, words=words)
        named = [each for each in inputs if each["name"] == self._input] if self._input else inputs
        if len(named) != 1:
            names = ", ".join(each["name"] for each in inputs)
            raise RefusedError(
                f"{self._path} has inputs {names}; expected one, for images: name it as --input_name"
                if len(inputs) > 1
                else f"{self._path} has the input {names}, and none called {self._input}: leave out --input_name"
            )
        one = named[0]
        datatype = self._datatype or one["datatype"]
        if datatype not in KINDS:
            raise RefusedError(
                f"{self._path} takes {one['name']} as {datatype}; expected one of {', '.join(KINDS)}: for anything "
                "else give functions of your own, --dialect=my_module:MyDialect"
            )
        self._input, self._datatype = one["name"], datatype
        shape = tuple(int(length) for length in one.get("shape", ()))[1:] or None
        words = f"{self._path} takes {one['name']}, {datatype} of shape {one.get('shape')}"
        return Description(shape, datatype == "UINT8", classes, words)

    def to_request(self, images: np.ndarray) -> Parts:
        """One input of all images, and the output that is to be answered.

        Args:
          images: shape=(n, h, w, c), (n, c, h, w) or (n, h * w * c), uint8 or floats: the service's own format.

        Returns:
          Path, content and type of the request.
        """
        datatype = self._datatype or ("UINT8" if images.dtype == np.uint8 else "FP32")
        values = images.astype(KINDS[datatype])
        data = (values if self._nested else values.reshape(-1)).tolist()
        name = self._input or ANY_NAME
        one = {"name": name, "shape": list(images.shape), "datatype": datatype, "data": data}
        asked = {"outputs": [{"name": self._output}]} if self._output else {}
        return Parts(f"{self._path}/infer", to_json({"inputs": [one], **asked}))

    def from_response(self, body: bytes, count: int) -> Any:
        """The output's data, in its shape."""
        outputs = member(from_json(body), ("outputs",), "the Open Inference Protocol")
        if not isinstance(outputs, list) or not all(isinstance(each, Mapping) for each in outputs):
            raise BadAnswerError(f"the service answered outputs {str(outputs)[:120]}; expected a list of tensors")
        chosen = _chosen(outputs, self._output)
        try:
            data = np.array(chosen["data"])
            shape = tuple(chosen.get("shape") or data.shape)
            if data.size == math.prod(shape):
                data = data.reshape(shape)
        except (KeyError, ValueError, TypeError) as error:
            raise BadAnswerError(f"the service answered a tensor {str(chosen)[:120]} without readable data") from error
        return data.tolist()


def _chosen(outputs: list[Any], name: str) -> Any:
    if name:
        named = [each for each in outputs if each.get("name") == name]
    else:
        wide = [each for each in outputs if len(each.get("shape", ())) == 2 and each["shape"][1] > 1]
        named = wide or outputs
    if not named:
        names = ", ".join(str(each.get("name")) for each in outputs)
        raise BadAnswerError(f"the service answered outputs {names or 'none'}; expected {name}: see --output_name")
    return named[0]
