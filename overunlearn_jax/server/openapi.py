"""What the service says of itself at /openapi.json: OpenAPI 3.1, written by hand, and tested against its answers."""

from overunlearn_jax._version import __version__
from overunlearn_jax.server.requests import LONGEST
from overunlearn_jax.server.schemas import COUNT, STRING, Schema, component_schemas, object_of
from overunlearn_jax.server.settings import ServerSettings
from overunlearn_jax.types import DatasetSpec

REASONS = {
    "400": "no JSON, half a body, or no Idempotency-Key",
    "401": "no token, or an unknown one",
    "403": "not with this token",
    "404": "there is none, or none of this token",
    "408": "the body did not come in time",
    "409": "it does not wait any more",
    "413": "too large",
    "422": "the JSON does not say what it should",
    "429": "too many deletions wait, or too many of this token's owner",
    "500": "the service failed",
    "503": "not now",
}


def openapi_document(spec: DatasetSpec, settings: ServerSettings) -> Schema:
    """The document of a service of these images and classes."""
    name = settings.model_name
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "overunlearn_jax reference service",
            "version": __version__,
            "description": "Predictions by the Open Inference Protocol; deletions from the model, done one by one.",
        },
        "paths": {
            **_about(),
            **_of_the_model(f"/v2/models/{name}", settings),
            f"/v1/models/{name}:predict": {"post": _predict(settings)},
            **_deletions(),
            **_snapshots(),
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": component_schemas(spec, settings),
        },
    }


def _about() -> Schema:
    live = {"type": "object", "required": ["live"], "properties": {"live": {"type": "boolean"}}}
    metadata = object_of({"name": STRING, "version": STRING, "extensions": {"type": "array", "items": STRING}})
    return {
        "/v2": {"get": _operation("The server", {"200": metadata})},
        "/v2/health/live": {"get": _operation("Whether the process answers", {"200": live})},
        "/v2/health/ready": {"get": _operation("Whether the model answers and deletions are done", _READY)},
        "/metrics": {"get": _text("Numbers for Prometheus", "text/plain")},
        "/openapi.json": {"get": _operation("This document", {"200": {"type": "object"}})},
    }


def _of_the_model(path: str, settings: ServerSettings) -> Schema:
    by_version = [_in_path("version", {"type": "string", "pattern": "^[0-9]{1,9}$"})]
    refused = ("400", "404", "408", "413", "422", "503", *_refused_predictions(settings))
    infer = _operation(
        "Probabilities, all of the version that `model-version` names",
        {"200": _ref("InferResponse")},
        refused,
        body="InferRequest",
        secured=not settings.open_predictions,
        headers={"model-version": {"schema": STRING, "required": True}},
    )
    metadata, ready = {"200": _ref("ModelMetadata")}, _READY
    return {
        path: {"get": _operation("The model", metadata)},
        f"{path}/ready": {"get": _operation("Whether the model answers", ready)},
        f"{path}/infer": {"post": infer},
        f"{path}/versions/{{version}}": {"parameters": by_version, "get": _operation("A version", metadata, ["404"])},
        f"{path}/versions/{{version}}/ready": {
            "parameters": by_version,
            "get": _operation("Whether a version answers", ready, ["404"]),
        },
        f"{path}/versions/{{version}}/infer": {"parameters": by_version, "post": infer},
    }


def _predict(settings: ServerSettings) -> Schema:
    return _operation(
        "Probabilities, as KServe's protocol version 1 and TensorFlow Serving have it",
        {"200": _ref("PredictResponse")},
        ("400", "408", "413", "422", "503", *_refused_predictions(settings)),
        body="PredictRequest",
        secured=not settings.open_predictions,
        headers={"model-version": {"schema": STRING, "required": True}},
    )


def _deletions() -> Schema:
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[!-~]+$"},
        "description": "the same when a deletion is sent again: it is then done once, and again once it was undone",
    }
    post = _operation(
        "Has the model forget samples, by what is submitted or by identifier",
        {"202": _ref("DeletionAccepted")},
        ("400", "401", "403", "404", "408", "413", "422", "429", "503"),
        body="DeletionRequest",
        secured=True,
        headers={"Location": {"schema": STRING}},
    ) | {"parameters": [key]}
    one = [_in_path("id", {"type": "string", "pattern": "^[0-9a-f]{32}$"})]
    read = _operation("How a deletion stands", {"200": _ref("Deletion")}, ("401", "404", "503"), secured=True)
    cancel = _operation(
        "Cancels a deletion that waits", {"200": _ref("Deletion")}, ("401", "404", "409", "503"), secured=True
    )
    receipt = object_of({"identifier": STRING, "label": COUNT})
    own = {"200": object_of({"receipts": {"type": "array", "items": receipt}})}
    return {
        "/deletions": {"post": post},
        "/deletions/{id}": {"parameters": one, "get": read, "delete": cancel},
        "/receipts": {"get": _operation("The samples that the token's owner handed in", own, ["401"], secured=True)},
    }


def _snapshots() -> Schema:
    refused = ("401", "403", "503")
    take = _operation("Names the version that answers", {"201": object_of({"id": STRING})}, refused, secured=True)
    restore = _operation(
        "Has that version answer again; completed deletions that it has not done are undone",
        {"200": object_of({"model_version": STRING})},
        ("401", "403", "404", "500", "503"),
        secured=True,
    )
    one = [_in_path("id", {"type": "string", "pattern": "^[0-9a-f]{16}$"})]
    return {"/snapshots": {"post": take}, "/snapshots/{id}/restore": {"parameters": one, "post": restore}}


_READY: Schema = {status: {"type": "object", "required": ["ready"]} for status in ("200", "503")}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _in_path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _refused_predictions(settings: ServerSettings) -> tuple[str, ...]:
    return () if settings.open_predictions else ("401",)


def _text(summary: str, kind: str) -> Schema:
    return {"summary": summary, "responses": {"200": {"description": "text", "content": {kind: {"schema": STRING}}}}}


def _operation(
    summary: str,
    answers: Schema,
    refusals: tuple[str, ...] | list[str] = (),
    *,
    body: str = "",
    secured: bool = False,
    headers: Schema | None = None,
) -> Schema:
    responses: Schema = {
        status: {"description": summary, "content": _json(schema)} | ({"headers": headers} if headers else {})
        for status, schema in answers.items()
    }
    responses |= {status: {"description": REASONS[status], "content": _json(_ref("Error"))} for status in refusals}
    operation: Schema = {"summary": summary, "responses": responses}
    if body:
        operation["requestBody"] = {"required": True, "content": _json(_ref(body))}
    if secured:
        operation["security"] = [{"token": []}]
    return operation
