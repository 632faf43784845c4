"""Every dialect, each against a server: the same images give the same probabilities, in whatever form they travel."""

import importlib
import inspect
import pkgutil
import re
import textwrap

import numpy as np
import pytest

from overunlearn_jax.black_box import BadAnswerError, BlackBox
from overunlearn_jax.services import http
from overunlearn_jax.services.http import (
    HttpClient,
    HttpService,
    HuggingFace,
    Mlflow,
    OpenInference,
    OwnDialect,
    RefusedError,
    TensorFlowServing,
)
from overunlearn_jax.services.http import dialects as all_dialects
from overunlearn_jax.services.http.answers import as_probabilities, spread_top_k
from overunlearn_jax.services.http.dialects import own
from overunlearn_jax.services.http.dialects.base import from_json, to_json
from overunlearn_jax.services.pixels import PixelFormat
from tests.services.http.fake_server import SPEC

IMAGES = np.random.default_rng(5).uniform(-0.5, 0.5, (5, *SPEC.image_shape)).astype(np.float32)
DTYPES = {"FP32": np.float32, "FP64": np.float64}


def _service(url, dialect, **settings):
    return HttpService(SPEC, HttpClient(url), dialect, **settings)


def _own(url):
    return OwnDialect(
        lambda images: ("/v1/models/m:predict", to_json({"instances": images.tolist()})),
        lambda body, count: np.array(from_json(body)["predictions"]),
    )


def _documented():
    """The dialect that the example in own.py makes."""
    (example,) = re.findall(
        r"( +import json\n.*?)\n +overunlearn probe .*--dialect=my_dialect:make", own.__doc__, re.DOTALL
    )
    names = {}
    exec(textwrap.dedent(example), names)
    return names["make"]()


COMPARED = {
    "v2 flat": OpenInference("m", output="predict_proba"),
    "v2 nested FP64": OpenInference("m", output="predict_proba", nested=True, input_name="x", datatype="FP64"),
    "v1 rows": TensorFlowServing("m"),
    "v1 columns": TensorFlowServing("m", by_columns=True),
    "mlflow": Mlflow(),
    "mlflow instances": Mlflow("instances"),
    "mlflow frame": Mlflow("dataframe_split"),
    "own": _own(""),
    "own, as documented": _documented(),
}
BY_ITSELF = HuggingFace  # rounds, and answers the best labels alone


@pytest.mark.parametrize(
    "module", [each.name for each in pkgutil.iter_modules(all_dialects.__path__) if each.name != "base"]
)
def test_a_dialect_has_all_that_a_new_one_needs(module):
    path = f"{all_dialects.__name__}.{module}"
    classes = inspect.getmembers(importlib.import_module(path), inspect.isclass)
    kinds = [each for each in classes if each[1].__module__ == path and hasattr(each[1], "from_response")]
    assert kinds, f"dialects/{module}.py has no class with from_response"
    for name, kind in kinds:
        for package in (all_dialects, http):
            assert name in package.__all__, f"{name} is missing in __all__ of {package.__name__}"
        assert kind is BY_ITSELF or kind in map(type, COMPARED.values()), f"{name} is missing in COMPARED"


@pytest.mark.parametrize("dialect", COMPARED.values(), ids=COMPARED)
def test_answers_are_those_of_the_model_bit_for_bit(server, dialect):
    url, state = server
    answered = BlackBox(SPEC, _service(url, dialect).predict).query(IMAGES)
    unit = np.float32(IMAGES.astype(np.float64) + 0.5)
    assert np.array_equal(answered, state.model.predict(unit).astype(np.float32))
    assert state.images == 5


@pytest.mark.parametrize(
    ("shape", "datatype", "expected"),
    [
        ([-1, 3, 3, 1], "FP32", PixelFormat("NHWC", "unit")),
        ([-1, 1, 3, 3], "FP64", PixelFormat("NCHW", "unit")),
        ([-1, 9], "UINT8", PixelFormat("flat", "8bit")),
    ],
)
def test_metadata_decide_the_pixel_format(server, shape, datatype, expected):
    url, state = server
    state.inputs = [{"name": "pixels", "shape": shape, "datatype": datatype}]
    service = _service(url, OpenInference("m", output="predict_proba"))
    assert service.pixels == expected
    rounded = (
        np.rint((IMAGES.astype(np.float64) + 0.5) * 255) / 255 if datatype == "UINT8" else np.float32(IMAGES + 0.5)
    )
    np.testing.assert_allclose(service.predict(IMAGES), state.model.predict(rounded), atol=1e-6)


def test_metadata_that_do_not_fit_are_told_before_anything_is_sent(server):
    url, state = server
    state.inputs = [{"name": "pixels", "shape": [-1, 32, 32, 3], "datatype": "FP32"}]
    with pytest.raises(RefusedError, match=r"\(32, 32, 3\), and the data has \(3, 3, 1\): give the --dataset"):
        _service(url, OpenInference("m"))
    state.inputs = [{"name": "pixels", "shape": [-1, 9], "datatype": "INT64"}]
    with pytest.raises(RefusedError, match="takes pixels as INT64; expected one of FP32, FP64, UINT8"):
        _service(url, OpenInference("m"))
    state.inputs = [{"name": each, "shape": [-1, 9], "datatype": "FP32"} for each in "ab"]
    with pytest.raises(RefusedError, match="inputs a, b; expected one, for images: name it as --input_name"):
        _service(url, OpenInference("m"))
    with pytest.raises(RefusedError, match="404"):
        _service(url, OpenInference("another"))
    assert state.images == 0


def test_an_open_inference_server_that_answers_labels_gives_one_hot_rows(server):
    url, state = server
    answered = _service(url, OpenInference("m")).predict(IMAGES)
    assert np.array_equal(answered, np.eye(4)[state.model.predict(IMAGES + 0.5).argmax(-1)])


def test_png_in_and_the_best_labels_out(server):
    url, state = server
    service = _service(url, HuggingFace("/image"))
    on_lattice = np.float32(np.rint((IMAGES + 0.5) * 255) / 255 - 0.5)
    answered = BlackBox(SPEC, service.predict).query(on_lattice)
    true = state.model.predict(on_lattice + 0.5)
    best = np.argsort(-true)[:, :2]
    rows = np.arange(5)[:, None]
    np.testing.assert_allclose(answered[rows, best], true[rows, best], atol=1e-6)
    assert (np.sort(answered)[:, 1] < true[rows, best][:, 1] + 1e-7).all()  # not answered: below the last one
    assert state.images == 5
    assert service.sent.requests == 5  # an image a request


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ([2, 0], [[0, 0, 1], [1, 0, 0]]),
        ([[2], [0]], [[0, 0, 1], [1, 0, 0]]),
        (["cat", "ant"], [[0, 0, 1], [1, 0, 0]]),
        ([[0.5, 0.25, 0.25], [1, 0, 0]], [[0.5, 0.25, 0.25], [1, 0, 0]]),
        ([{"ant": 0.5, "bee": 0.25, "cat": 0.25}] * 2, [[0.5, 0.25, 0.25]] * 2),
        ([{"label": "LABEL_1", "score": 0.5}] * 2, [[0.25, 0.5, 0.25]] * 2),
        ([[{"label": "cat", "score": 0.5}]] * 2, [[0.25, 0.25, 0.5]] * 2),
    ],
)
def test_what_services_answer_in_place_of_probabilities(raw, expected):
    assert as_probabilities(raw, 2, ("ant", "bee", "cat")).tolist() == expected


def test_what_is_not_answered_is_below_the_last_answer_even_where_the_rest_would_reach_it():
    spread = spread_top_k([[("a", 0.25)]], "abcd").astype(np.float32)
    assert spread.argmax() == 0
    assert (spread[0, 1:] < spread[0, 0]).all()
    np.testing.assert_allclose(spread.sum(), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ([[0.5, 0.5]], "a list of 1 to 2 images"),
        ({"a": 1}, "a dict to 2 images"),
        (["dog", "ant"], "label 'dog'; expected a class of the data, ant, bee"),
        ([7, 0], "label '7'"),
        ([[{"score": 1.0}]] * 2, "expected a label and a score"),
        ([[{"label": "ant", "score": "high"}]] * 2, "score 'high'"),
        ([[]] * 2, r"shape \(2, 0\)"),
        ([[{"label": "ant", "score": 0.5}, {"label": "ant", "score": 0.5}]] * 2, "each label once"),
        ([["x", 1.0], [0.0, 1.0]], "something else than numbers"),
    ],
)
def test_answers_that_are_none_say_so(raw, words):
    with pytest.raises(BadAnswerError, match=words):
        BlackBox(SPEC, lambda images: as_probabilities(raw, 2, ("ant", "bee"))).query(IMAGES[:2])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: OpenInference(""), "--model_name"),
        (lambda: OpenInference("m", datatype="INT8"), "FP32, FP64, UINT8"),
        (lambda: TensorFlowServing(""), "--model_name"),
        (lambda: Mlflow("frame"), "inputs, instances, dataframe_split"),
        (lambda: Mlflow(columns=["a"]), "dataframe_split"),
        (lambda: HuggingFace("models"), "slash"),
        (lambda: OwnDialect(1, len), "to_request is a int; expected a function"),
    ],
)
def test_wrong_settings_are_told(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_functions_of_the_user_s_that_return_something_else_are_told(server):
    url, _ = server
    with pytest.raises(ValueError, match=r"expected \(path, content\)"):
        _service(url, OwnDialect(lambda images: "path", lambda body, count: None)).predict(IMAGES)
    with pytest.raises(ValueError, match="from_response raised ZeroDivisionError"):
        _service(url, OwnDialect(_own("")._to_request, lambda body, count: 1 / 0)).predict(IMAGES)
