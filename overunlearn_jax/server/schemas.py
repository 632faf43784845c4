"""The bodies of requests and answers, as JSON Schema."""

from typing import Any

from overunlearn_jax.server.pictures import UINT8, UNIT
from overunlearn_jax.server.queue import STATUSES
from overunlearn_jax.server.settings import ServerSettings
from overunlearn_jax.types import DatasetSpec

Schema = dict[str, Any]
STRING: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
VERSION: Schema = {
    "type": ["string", "null"],
    "description": "of the model that has forgotten; null: none that answers",
}
SUBMISSION: Schema = {"const": "submission"}
_MORE: Schema = {"signature_name": {}, "parameters": {}}


def component_schemas(spec: DatasetSpec, settings: ServerSettings) -> Schema:
    """Every body by its name."""
    height, width, channels = spec.image_shape
    unit = _images(spec, {"type": "number", "minimum": 0, "maximum": 1}, settings.most_images)
    labels = {
        "type": "array",
        "minItems": 1,
        "items": {"type": "integer", "minimum": 0, "maximum": spec.num_classes - 1},
    }
    tensor = object_of({"name": STRING, "datatype": STRING, "shape": {"type": "array", "items": {"type": "integer"}}})
    probabilities = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
    datatype = {"enum": ["FP32", "FP64", "UINT8"]}
    size = {"type": "integer", "minimum": 1, "maximum": settings.most_images}
    shape = {"type": "array", "prefixItems": [size, *({"const": each} for each in spec.image_shape)], "items": False}
    given = object_of(
        {
            "name": {"const": "images"},
            "datatype": datatype,
            "shape": shape | {"minItems": 4},
            "data": {
                "type": "array",
                "minItems": 1,
                "description": f"n * {height} * {width} * {channels} numbers in [0, 1], or UINT8; flat or nested",
            },
        },
        {"parameters": {"type": "object"}},
    )
    output = object_of({"name": {"const": "probabilities"}})
    answered = object_of(
        {
            "name": {"const": "probabilities"},
            "shape": {"type": "array", "items": COUNT},
            "datatype": {"const": "FP32"},
            "data": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1.00001}},
        }
    )
    status = {"enum": list(STATUSES)}
    eight_bit = _images(spec, {"type": "integer", "minimum": 0, "maximum": 255}, settings.most_samples)
    floats = unit | {"maxItems": settings.most_samples}
    submissions = [
        object_of({"by": SUBMISSION, "images": floats, "labels": labels}, {"pixels": {"const": UNIT}}),
        object_of({"by": SUBMISSION, "images": eight_bit, "labels": labels, "pixels": {"const": UINT8}}),
    ]
    identifiers = {"type": "array", "minItems": 1, "maxItems": settings.most_samples, "items": STRING}
    return {
        "Error": object_of({"error": object_of({"code": STRING, "message": STRING})}),
        "ModelMetadata": object_of(
            {
                "name": STRING,
                "versions": {"type": "array", "items": STRING},
                "platform": STRING,
                "inputs": {"type": "array", "items": tensor},
                "outputs": {"type": "array", "items": tensor},
                "parameters": {"type": "object"},
            }
        ),
        "InferRequest": object_of(
            {"inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": given}},
            {"id": STRING, "parameters": {"type": "object"}, "outputs": {"type": "array", "items": output}},
        ),
        "InferResponse": object_of(
            {"model_name": STRING, "model_version": STRING, "outputs": {"type": "array", "items": answered}},
            {"id": STRING},
        ),
        "PredictRequest": {"oneOf": [object_of({name: unit}, _MORE) for name in ("instances", "inputs")]},
        "PredictResponse": {"oneOf": [object_of({name: probabilities}) for name in ("predictions", "outputs")]},
        "DeletionRequest": {
            "oneOf": [*submissions, object_of({"by": {"const": "identifier"}, "identifiers": identifiers})]
        },
        "DeletionAccepted": object_of({"id": STRING, "status": status, "model_version": VERSION, "received": COUNT}),
        "Deletion": object_of(
            {
                "id": STRING,
                "status": status,
                "model_version": VERSION,
                "error": {"type": ["string", "null"], "description": "why it failed, or which samples were refused"},
                "matched": {"type": ["integer", "null"], "description": "training samples; null: the method says none"},
                "seconds": {"type": ["number", "null"]},
            }
        ),
    }


def _images(spec: DatasetSpec, pixel: Schema, most: int) -> Schema:
    nested = pixel
    for size in reversed(spec.image_shape):
        nested = {"type": "array", "minItems": size, "maxItems": size, "items": nested}
    return {"type": "array", "minItems": 1, "maxItems": most, "items": nested}


def object_of(required: Schema, optional: Schema | None = None) -> Schema:
    """An object of these properties and no others."""
    properties = required | (optional or {})
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}
