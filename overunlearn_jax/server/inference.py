"""Predictions: the Open Inference Protocol, version 2, and the older version 1 of KServe and TensorFlow Serving."""

from typing import Any, NamedTuple

import numpy as np
import orjson

from overunlearn_jax._version import __version__
from overunlearn_jax.server.bodies import check_fields, read_json
from overunlearn_jax.server.core import ServedModel
from overunlearn_jax.server.pictures import UINT8, UNIT, flat_numbers, in_bounds, nested_images
from overunlearn_jax.server.refusals import RefusedError, invalid

DATATYPES = {"FP32": UNIT, "FP64": UNIT, "UINT8": UINT8}
INPUT, OUTPUT = "images", "probabilities"
MANY = "too_many_images"


class Answered(NamedTuple):
    """An answer, and what the access log says of it."""

    body: bytes
    version: int
    images: int


def server_metadata() -> dict[str, Any]:
    """`GET /v2`."""
    return {"name": "overunlearn_jax", "version": __version__, "extensions": []}


def model_metadata(served: ServedModel) -> dict[str, Any]:
    """`GET /v2/models/M`."""
    spec = served.spec
    return {
        "name": served.settings.model_name,
        "versions": [str(served.served.version.number)],
        "platform": "jax",
        "inputs": [{"name": INPUT, "datatype": "FP32", "shape": [-1, *spec.image_shape]}],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, spec.num_classes]}],
        "parameters": {
            "pixels": "FP32 and FP64 in [0, 1]; UINT8 in 0 ... 255",
            "class_names": list(spec.class_names),
        },
    }


def infer(served: ServedModel, body: bytes, version: str | None) -> Answered:
    """`POST /v2/models/M[/versions/V]/infer`."""
    request = read_json(body)
    check_fields(request, ("inputs",), ("id", "parameters", "outputs"))
    identifier = request.get("id", "")
    if not isinstance(identifier, str):
        raise invalid("wrong_field", "id is no string")
    _check_outputs(request.get("outputs"))
    images = _tensor(served, request["inputs"])
    probabilities, number = _predict(served, images, version)
    answer = {
        "model_name": served.settings.model_name,
        "model_version": str(number),
        "outputs": [
            {
                "name": OUTPUT,
                "shape": list(probabilities.shape),
                "datatype": "FP32",
                "data": np.ascontiguousarray(probabilities).reshape(-1),
            }
        ],
    }
    return Answered(_json(answer | ({"id": identifier} if identifier else {})), number, len(images))


def predict(served: ServedModel, body: bytes) -> Answered:
    """`POST /v1/models/M:predict`."""
    request = read_json(body)
    name = "inputs" if "inputs" in request else "instances"
    check_fields(request, (name,), ("signature_name", "parameters"))
    images = nested_images(served.spec, request[name], UNIT, served.settings.most_images, MANY)
    probabilities, number = _predict(served, images, None)
    answer = {"predictions" if name == "instances" else "outputs": np.ascontiguousarray(probabilities)}
    return Answered(_json(answer), number, len(images))


def _tensor(served: ServedModel, inputs: Any) -> np.ndarray:
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise invalid("wrong_inputs", f"expected one input, {INPUT}")
    [given] = inputs
    check_fields(given, ("name", "shape", "datatype", "data"), ("parameters",))
    if given["name"] != INPUT:
        raise invalid("wrong_inputs", f"there is no input {str(given['name'])[:40]!r}; expected {INPUT}")
    if not isinstance(given["datatype"], str) or given["datatype"] not in DATATYPES:
        raise invalid("wrong_datatype", f"datatype is {str(given['datatype'])[:20]!r}; expected {', '.join(DATATYPES)}")
    shape, expected = given["shape"], served.spec.image_shape
    if (
        not isinstance(shape, list)
        or not all(type(size) is int for size in shape)
        or len(shape) != 4
        or tuple(shape[1:]) != expected
        or shape[0] < 1
    ):
        raise invalid(
            "wrong_shape", f"shape is {str(shape)[:60]}; expected [n, {', '.join(map(str, expected))}], n > 0"
        )
    if shape[0] > served.settings.most_images:
        most = served.settings.most_images
        raise invalid(MANY, f"{shape[0]} images at once; expected at most {most}: send several requests")
    data = flat_numbers(given["data"], tuple(shape), "data")
    return in_bounds(served.spec, data, DATATYPES[given["datatype"]])


def _check_outputs(outputs: Any) -> None:
    if outputs is None:
        return
    if not isinstance(outputs, list) or not all(
        isinstance(each, dict) and each.get("name") == OUTPUT for each in outputs
    ):
        raise invalid("wrong_outputs", f"there is one output, {OUTPUT}")


def _predict(served: ServedModel, images: np.ndarray, version: str | None) -> tuple[np.ndarray, int]:
    probabilities, number = served.predict(images)
    if version not in (None, str(number)):
        raise unknown_version(served, str(version))
    return probabilities, number


def unknown_version(served: ServedModel, version: str) -> RefusedError:
    """What asking another version than the current one is refused with."""
    return RefusedError(
        404,
        "unknown_version",
        f"version {version[:20]} is not served: {served.served.version.number} is; earlier ones know what it has "
        "forgotten",
    )


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
