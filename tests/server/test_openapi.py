"""/openapi.json is true: its paths are the routes, and every answer has a status and a body that it names."""

import json
import re
from typing import Any

import jsonschema
import numpy as np
import pytest

pytest.importorskip("overunlearn_jax.server", exc_type=ImportError)

from overunlearn_jax.server.openapi import openapi_document
from overunlearn_jax.server.settings import ServerSettings
from tests.server.small_service import BOSS, SPEC, SPLITS, Client, infer_body, running, submission, unit

IMAGES, LABELS = SPLITS.test.images[:2], SPLITS.test.labels[:2]


def operation_of(document: dict[str, Any], method: str, path: str) -> dict[str, Any] | None:
    for template, item in document["paths"].items():
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path):
            return item.get(method.lower())
    return None


def check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    resolved = {"$defs": document["components"]["schemas"], **schema}
    text = json.dumps(resolved).replace("#/components/schemas/", "#/$defs/")
    jsonschema.Draft202012Validator(json.loads(text)).validate(value)


def walk(client: Client, boss: Client) -> None:
    """Every route, well and badly."""
    for path in (
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/model",
        "/v2/models/model/ready",
        "/metrics",
    ):
        client.send("GET", path)
    for version in ("1", "9"):
        client.send("GET", f"/v2/models/model/versions/{version}")
        client.send("GET", f"/v2/models/model/versions/{version}/ready")
        client.send("POST", f"/v2/models/model/versions/{version}/infer", infer_body(IMAGES))
    for body in (infer_body(IMAGES, "UINT8"), {}, b"{", infer_body(IMAGES) | {"id": "x"}):
        client.send("POST", "/v2/models/model/infer", body)
    for name in ("instances", "inputs", "other"):
        client.send("POST", "/v1/models/model:predict", {name: unit(IMAGES).tolist()})
    identifiers = [each["identifier"] for each in client.send("GET", "/receipts").body["receipts"][:2]]
    sent = client.delete({"by": "identifier", "identifiers": identifiers}, "one")
    client.delete({"by": "identifier", "identifiers": identifiers[:1]}, "one")
    client.delete({"by": "identifier", "identifiers": ["x"]}, "two")
    client.wait(client.delete(submission(IMAGES, LABELS), "three").body["id"])
    client.send("POST", "/deletions", submission(IMAGES, LABELS))
    client.send("DELETE", f"/deletions/{sent.body['id']}")
    client.send("DELETE", "/deletions/x")
    client.send("GET", "/deletions/x")
    taken = boss.send("POST", "/snapshots").body["id"]
    for who in (client, boss):
        who.send("POST", "/snapshots")
        who.send("POST", f"/snapshots/{taken}/restore")
        who.send("POST", "/snapshots/x/restore")
    nobody = Client(client.url, "")
    for method, path in (("GET", "/receipts"), ("GET", "/deletions/x"), ("POST", "/deletions"), ("POST", "/snapshots")):
        client.answers.append((method, path, nobody.send(method, path)))


def test_every_answer_is_described(tmp_path):
    with running(tmp_path) as made:
        boss = made.as_(BOSS)
        document = made.client.send("GET", "/openapi.json").body
        walk(made.client, boss)
    seen = set()
    for method, path, answer in [*made.client.answers, *boss.answers]:
        operation = operation_of(document, method, path)
        assert operation is not None, path
        described = operation["responses"].get(str(answer.status))
        assert described is not None, (method, path, answer.status, answer.body)
        seen.add((operation["summary"], answer.status))
        for kind, content in described["content"].items():
            assert answer.headers.get_content_type() == kind
            if kind == "application/json":
                check(document, content["schema"], answer.body)
        for name, header in described.get("headers", {}).items():
            assert name in answer.headers or not header.get("required")
    assert len(seen) > 30


def test_paths_are_the_routes(tmp_path):
    with running(tmp_path) as made:
        document = made.client.send("GET", "/openapi.json").body
    from overunlearn_jax.server.app import _Routes

    table = _Routes.table(_stand_in(ServerSettings()))
    routes = {(route.path, method) for route in table for method in route.methods - {"HEAD"}}
    described = {
        (path, method.upper())
        for path, item in document["paths"].items()
        for method in item
        if method in ("get", "post", "delete")
    }
    assert routes == described


def _stand_in(settings: ServerSettings):
    """As much of the routes' object as their table needs."""
    from types import SimpleNamespace
    from unittest.mock import MagicMock

    made = MagicMock()
    made._served = SimpleNamespace(settings=settings)
    return made


def test_bodies_that_are_described_are_taken(tmp_path):
    document = openapi_document(SPEC, ServerSettings())
    schemas = document["components"]["schemas"]
    check(document, schemas["InferRequest"], infer_body(IMAGES))
    check(document, schemas["DeletionRequest"], submission(IMAGES, LABELS, pixels="unit"))
    check(document, schemas["PredictRequest"], {"instances": unit(IMAGES).tolist()})
    with pytest.raises(jsonschema.ValidationError):
        check(document, schemas["PredictRequest"], {"instances": (2 * np.ones((2, 3, 3, 1))).tolist()})
    with pytest.raises(jsonschema.ValidationError):
        check(document, schemas["DeletionRequest"], submission(IMAGES, [9, 9]))
