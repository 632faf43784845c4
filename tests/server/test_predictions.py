"""Predictions over HTTP are the model's own, bit for bit, in each protocol; what is wrong is told with a status."""

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("overunlearn_jax.server", exc_type=ImportError)

from overunlearn_jax.server.core import answers
from overunlearn_jax.server.settings import ServerSettings
from tests.server.small_service import BOSS, SPEC, SPLITS, Client, Running, infer_body, running, unit

IMAGES = SPLITS.test.images


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = ServerSettings(most_body=200_000, most_images=64)
    with running(tmp_path_factory.mktemp("service"), settings) as made:
        yield made


@pytest.mark.parametrize("count", [1, 2, 9, 40])
def test_version_2_bit_for_bit(service: Running, count: int):
    answered, version = service.client.probabilities(IMAGES[:count])
    np.testing.assert_array_equal(answered, answers(service.served.served.predict, IMAGES[:count]))
    assert version == "1"


def test_nested_data_and_its_type(service: Running):
    body = infer_body(IMAGES[:3])
    flat = service.client.send(
        "POST", "/v2/models/model/infer", body | {"id": "mine", "outputs": [{"name": "probabilities"}]}
    )
    body["inputs"][0]["data"] = unit(IMAGES[:3]).tolist()
    nested = service.client.send("POST", "/v2/models/model/versions/1/infer", body)
    assert flat.body == nested.body | {"id": "mine"}
    assert flat.body["model_name"] == "model"
    assert flat.body["model_version"] == flat.headers["model-version"] == "1"
    eight_bits = service.client.infer(IMAGES[:3], datatype="UINT8").body["outputs"][0]["data"]
    rounded = (np.rint(255 * unit(IMAGES[:3])) / 255 + SPEC.bounds.lower).astype(np.float32)
    np.testing.assert_array_equal(
        np.array(eight_bits, np.float32).reshape(3, -1), answers(service.served.served.predict, rounded)
    )


@pytest.mark.parametrize(("asked", "answered"), [("instances", "predictions"), ("inputs", "outputs")])
def test_version_1(service: Running, asked: str, answered: str):
    got = service.client.send("POST", "/v1/models/model:predict", {asked: unit(IMAGES[:3]).tolist()})
    expected = answers(service.served.served.predict, IMAGES[:3])
    np.testing.assert_array_equal(np.array(got.body[answered], np.float32), expected)


def test_metadata_is_open_and_true(service: Running):
    nobody = Client(service.client.url, "")
    assert nobody.send("GET", "/v2").body["name"] == "overunlearn_jax"
    assert nobody.send("GET", "/v2/health/live").body == {"live": True}
    assert nobody.send("GET", "/v2/health/ready").body == {"ready": True}
    model = nobody.send("GET", "/v2/models/model").body
    assert model["inputs"] == [{"name": "images", "datatype": "FP32", "shape": [-1, 3, 3, 1]}]
    assert model["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 4]}]
    assert nobody.send("GET", "/v2/models/model/ready").status == 200
    assert nobody.send("GET", "/v2/models/model/versions/1/ready").status == 200
    assert nobody.send("GET", "/v2/models/other").code == "no_such_path"
    assert nobody.send("GET", "/v2/models/model/versions/2").code == "unknown_version"
    assert nobody.send("PUT", "/v2").code == "wrong_method"


def changed(**tensor: object) -> dict:
    body = infer_body(IMAGES[:2])
    body["inputs"][0] |= tensor
    return body


GOOD = infer_body(IMAGES[:2])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b'{"inputs": [', 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b'{"inputs": [NaN]}', 400, "invalid_json"),
        (b'{"a": "\xff"}', 400, "invalid_json"),
        ([], 400, "invalid_json"),
        ({}, 422, "missing_field"),
        (GOOD | {"extra": 1}, 422, "unknown_field"),
        (GOOD | {"id": 1}, 422, "wrong_field"),
        (GOOD | {"outputs": [{"name": "logits"}]}, 422, "wrong_outputs"),
        ({"inputs": GOOD["inputs"] * 2}, 422, "wrong_inputs"),
        (changed(name="x"), 422, "wrong_inputs"),
        (changed(datatype="BYTES"), 422, "wrong_datatype"),
        (changed(datatype=[]), 422, "wrong_datatype"),
        (changed(shape=[2, 3, 3, 3]), 422, "wrong_shape"),
        (changed(shape=[2, 9]), 422, "wrong_shape"),
        (changed(shape=[2.0, 3, 3, 1]), 422, "wrong_shape"),
        (changed(shape=[3, 3, 3, 1]), 422, "wrong_shape"),
        (changed(shape=[-1, 3, 3, 1]), 422, "wrong_shape"),
        (changed(shape=[10**12, 3, 3, 1]), 422, "too_many_images"),
        (changed(data=[2.0] * 18), 422, "out_of_range"),
        (changed(data=[0.5] * 17 + [None]), 422, "no_numbers"),
        (changed(data=["0.5"] * 18), 422, "no_numbers"),
        (changed(data=[True] * 18), 422, "no_numbers"),
        (changed(data=[0.5] * 17 + [False]), 422, "no_numbers"),
        (changed(data=[[0.5] * 9, [0.5] * 8]), 422, "no_numbers"),
        (changed(data={"0": 1}), 422, "no_numbers"),
        (changed(data=[0.5] * 18, datatype="UINT8"), 422, "out_of_range"),
        (changed(data=[256] * 18, datatype="UINT8"), 422, "out_of_range"),
        (changed(data=[0.5] * 40_000), 413, "too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_predictions(service: Running, body: object, status: int, code: str):
    got = service.client.send("POST", "/v2/models/model/infer", body)
    assert (got.status, got.code) == (status, code)
    assert got.body["error"]["message"]


def test_infinity_in_disguise(service: Running):
    body = b'{"instances": [[[[1e999],[0],[0]],[[0],[0],[0]],[[0],[0],[0]]]]}'
    got = service.client.send("POST", "/v1/models/model:predict", body)
    assert got.code in ("no_numbers", "invalid_json")


def test_tokens(service: Running):
    for client in (Client(service.client.url, ""), Client(service.client.url, "x" * 20)):
        got = client.infer(IMAGES[:1])
        assert (got.status, got.code, got.headers["WWW-Authenticate"]) == (401, "unauthorized", "Bearer")
    basic = Client(service.client.url, "").send("GET", "/receipts", Authorization=f"Basic {BOSS}")
    assert basic.status == 401


def test_open_predictions(tmp_path):
    with running(tmp_path, ServerSettings(open_predictions=True)) as made:
        assert Client(made.client.url, "").infer(IMAGES[:1]).status == 200
        assert Client(made.client.url, "").send("GET", "/receipts").status == 401
