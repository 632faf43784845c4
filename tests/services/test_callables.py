"""Three functions as a service: what is sent, what may come back, what goes wrong; it is always brought back."""

import asyncio

import jax
import numpy as np
import pytest
import scipy.special

import overunlearn_jax as ou
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.black_box import BadAnswerError, BlackBox, VictimUnavailableError
from overunlearn_jax.evaluation import evaluate_all
from overunlearn_jax.models import predict_fn
from overunlearn_jax.services.callables import UnreachableError, from_object
from overunlearn_jax.services.inspection import inspect_service
from overunlearn_jax.services.pixels import PixelFormat
from overunlearn_jax.services.service import HasWeights, Sweep
from overunlearn_jax.types import Bounds, DatasetSpec, DivergedError, Request, Split, Splits, Variables
from overunlearn_jax.user_code import UserCodeError
from tests.unlearn.small_model import BOUNDS, CLASSES, IMAGE_SHAPE, request, softmax_regression

SPEC = DatasetSpec("made up", IMAGE_SHAPE, Bounds(*BOUNDS), tuple("abcd"))
KEY = jax.random.key(0)
FIRST, SECOND = Request(*request(0, 5)), Request(*request(1, 3))
IMAGES = request(2, 7)[0]


class Regression:
    """Softmax regression on flat unit pixels that forgets by gradient ascent, in place."""

    pixels = PixelFormat("flat", "unit")

    def __init__(self):
        self.weights = np.random.default_rng(0).normal(size=(9, CLASSES))
        self.deployed = self.weights.copy()
        self.calls = []

    def predict(self, images):
        return scipy.special.softmax(images @ self.weights, axis=-1)

    def forget(self, images, labels):
        self.calls.append((images.copy(), labels.copy()))
        self.weights += 0.5 * images.T @ (self.predict(images) - np.eye(CLASSES)[labels])

    def reset(self):
        self.calls.append("reset")
        self.weights[:] = self.deployed


def served(inner=None, **functions):
    """The service of a regression, some of its functions replaced."""
    inner = inner or Regression()
    own = {"predict": inner.predict, "forget": inner.forget, "reset": inner.reset, "pixels": inner.pixels}
    return ou.service(spec=SPEC, **{**own, **functions})


def flat(images):
    return images.reshape(len(images), -1) + 0.5


def test_it_predicts_forgets_in_order_and_is_itself_again():
    inner, by_hand = Regression(), Regression()
    service = from_object(inner, SPEC)
    deployed = service.predict(IMAGES)
    np.testing.assert_allclose(deployed, by_hand.predict(flat(IMAGES)), rtol=1e-5)
    assert deployed.dtype == np.float32
    with service.after([FIRST, SECOND], KEY) as left:
        for each in (FIRST, SECOND):
            by_hand.forget(flat(each.images), each.labels)
        np.testing.assert_allclose(left.predict(IMAGES), by_hand.predict(flat(IMAGES)), rtol=1e-4)
        assert not np.allclose(left.predict(IMAGES), deployed, atol=0.01)
        assert left.deletion.seconds > 0
        assert left.deletion.diverged == ""
        assert left.variables is None
    np.testing.assert_array_equal(service.predict(IMAGES), deployed)
    (images, labels), (_, later), reset = inner.calls
    np.testing.assert_allclose(images, flat(FIRST.images), atol=1e-6)
    assert labels.dtype == later.dtype == np.int64
    np.testing.assert_array_equal(labels, FIRST.labels)
    np.testing.assert_array_equal(later, SECOND.labels)
    assert reset == "reset"


def separable():
    """A regression that knows its data, and the data."""
    rng = np.random.default_rng(0)
    patterns = rng.uniform(-0.4, 0.4, (CLASSES, *IMAGE_SHAPE))

    def part(count):
        labels = (np.arange(count) % CLASSES).astype(np.int32)
        images = patterns[labels] + 0.02 * rng.normal(size=(count, *IMAGE_SHAPE))
        return Split(images.clip(*BOUNDS).astype(np.float32), labels, np.arange(count))

    data, inner = Splits(SPEC, part(40), part(8), part(40)), Regression()
    inner.weights[:] = inner.deployed[:] = 8 * (patterns.reshape(CLASSES, -1).T)
    return inner, data


def test_an_audit_of_three_functions_asks_inspects_and_judges():
    inner, data = separable()
    service = from_object(inner, SPEC)
    assert inspect_service(service, data, 1, KEY).changed
    attacks, lines = ("normal", "blending"), []
    judgement = ou.audit(
        service, data, class_a="b", class_b="c", fraction=0.3, seeds=(0,), attacks=attacks, on_progress=lines.append
    )
    assert [line.split()[3] for line in lines if "submitted and measured" in line] == [*attacks]
    assert judgement.claims
    np.testing.assert_array_equal(inner.weights, inner.deployed)


def test_who_writes_into_what_it_is_given_spoils_nothing():
    inner = Regression()

    def predict(images):
        answer = Regression().predict(images)
        images[:] = np.nan
        return answer

    def forget(images, labels):
        images[:], labels[:] = np.nan, -1

    service = served(inner, predict=predict, forget=forget)
    images, submitted = IMAGES.copy(), Request(FIRST.images.copy(), FIRST.labels.copy())
    first = service.predict(images)
    with service.after([submitted], KEY):
        pass
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(submitted.images, FIRST.images)
    np.testing.assert_array_equal(submitted.labels, FIRST.labels)
    np.testing.assert_array_equal(service.predict(images), first)


def test_who_answers_from_one_buffer_spoils_nothing():
    buffer = np.zeros((7, CLASSES), np.float32)

    def predict(images):
        buffer[: len(images)] = Regression().predict(images)
        return buffer[: len(images)]

    service = served(predict=predict)
    first = service.predict(IMAGES)
    kept = first.copy()
    service.predict(-IMAGES)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda images: images @ Regression().weights, "if these are logits, put a softmax behind them"),
        (lambda images: np.full((len(images), 3), 1 / 3), r"array of shape \(7, 3\) to 7 images; expected \(7, 4\)"),
        (lambda images: np.full((len(images), 4), 1), "int64 values; expected floats"),
        (lambda images: np.full((len(images), 4), np.nan), "not all finite"),
        (lambda images: None, r"array of shape \(\)"),
    ],
    ids=["logits", "shape", "integers", "nan", "none"],
)
def test_other_answers_than_probabilities(answer, message):
    with pytest.raises(BadAnswerError, match=message):
        served(predict=answer).predict(IMAGES)


class Tensor:
    """An array of another library, which knows nothing of copies."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None):
        return self.array


@pytest.mark.parametrize("kind", [np.ndarray.tolist, Tensor, np.float16, jax.numpy.asarray])
def test_other_arrays_and_lists_are_answers(kind):
    answered = served(predict=lambda images: kind(Regression().predict(images))).predict(IMAGES)
    np.testing.assert_allclose(answered, Regression().predict(flat(IMAGES)), rtol=1e-3 if kind is np.float16 else 1e-5)
    assert answered.dtype == np.float32


def test_nan_after_a_deletion_is_counted_as_diverged_and_logits_are_still_an_error():
    inner = Regression()

    def forget(images, labels):
        inner.weights[:] = np.nan

    service = served(inner, forget=forget)
    split = Split(*request(3, 20), np.arange(20))
    with service.after([FIRST], KEY) as left:
        answers = predict_in_batches(left.predict, IMAGES)
        assert answers.dtype == np.float32
        assert np.isnan(answers).all()
        assert evaluate_all({"left": left.predict}, split, CLASSES) == {"left": None}
    assert np.isfinite(service.predict(IMAGES)).all()
    wrong = served(predict=lambda images: images @ inner.weights)
    with wrong.after([FIRST], KEY) as left, pytest.raises(BadAnswerError, match="softmax"):
        left.predict(IMAGES)


def test_a_forget_that_diverges_ends_the_deletion_and_is_reset():
    inner = Regression()

    def forget(images, labels):
        inner.forget(images, labels)
        raise DivergedError("no longer finite")

    service = served(inner, forget=forget)
    with service.after([FIRST, SECOND], KEY) as left:
        assert left.predict is None
        assert left.deletion.diverged == "no longer finite"
    assert [call for call in inner.calls if call == "reset"] == ["reset"]
    assert len(inner.calls) == 2  # the second request was not sent


def test_a_request_that_the_service_declines_is_counted_and_the_others_are_forgotten():
    inner = Regression()

    def forget(images, labels):
        if len(labels) == len(FIRST.labels) and np.array_equal(images, inner.first):
            raise ou.DeletionRefusedError("the first is nobody's")
        inner.forget(images, labels)

    inner.first = inner.pixels.to_service(np.asarray(FIRST.images), SPEC.bounds)
    service = served(inner, forget=forget)
    deployed = service.predict(IMAGES)
    with service.after([FIRST], KEY) as left:
        np.testing.assert_array_equal(left.predict(IMAGES), deployed)
        assert left.deletion.refused == (len(FIRST.labels), {"the service": len(FIRST.labels)}, "the first is nobody's")
    with service.after([FIRST, SECOND], KEY) as left:
        assert not np.array_equal(left.predict(IMAGES), deployed)
        assert left.deletion.refused.samples == len(FIRST.labels)
    with service.after([SECOND], KEY) as left:
        assert left.deletion.refused is None


def test_an_audit_of_a_service_that_declines_what_it_was_not_trained_on():
    model, data = separable()
    known = {model.pixels.to_service(image[None], SPEC.bounds).tobytes() for image in data.train.images}

    def forget(images, labels):
        if any(image[None].tobytes() not in known for image in images):
            raise ou.DeletionRefusedError("an image that is no training image")
        model.forget(images, labels)

    found = ou.audit(served(model, forget=forget), data, class_a="a", class_b="b", fraction=0.3, seeds=(0, 1),
                     attacks=("normal", "blending"))  # fmt: skip
    refused = {row["attack"]: row.get("refused") for row in found.rows}
    submitted = {row["attack"]: row["submitted"] for row in found.rows}
    assert refused == {"normal": None, "blending": submitted["blending"]}
    assert any("defences refused: blending" in warning for warning in found.warnings)


def raises(error):
    def function(*arguments):
        raise error

    return function


@pytest.mark.parametrize("error", [KeyError("weights"), SystemExit(0), RuntimeError("out of memory")])
def test_what_the_functions_raise_names_them_and_keeps_the_cause(error):
    expected = f"raised {type(error).__name__}: "
    with pytest.raises(UserCodeError, match=f"^predict {expected}.*; it is called as predict") as caught:
        served(predict=raises(error)).predict(IMAGES)
    assert caught.value.__cause__ is error
    inner = Regression()
    with (
        pytest.raises(UserCodeError, match=f"^forget {expected}.*; it is called as forget"),
        served(inner, forget=raises(error)).after([FIRST], KEY),
    ):
        pass
    assert inner.calls == ["reset"]
    broken = served(reset=raises(error), name="mine")
    with pytest.raises(UserCodeError, match=rf"^mine.reset {expected}"), broken.after([FIRST], KEY):
        pass
    with pytest.raises(ValueError, match="was not reset yet"):
        broken.predict(IMAGES)


def test_a_user_code_error_of_a_process_is_not_told_twice():
    with pytest.raises(UserCodeError, match=r"^its process ended$"):
        served(predict=raises(UserCodeError("its process ended"))).predict(IMAGES)


def test_a_keyboard_interrupt_passes_and_the_service_is_reset():
    inner = Regression()
    with pytest.raises(KeyboardInterrupt), served(inner, forget=raises(KeyboardInterrupt())).after([FIRST], KEY):
        pass
    assert inner.calls == ["reset"]


def test_a_broken_connection_is_asked_again_by_a_black_box():
    tries = []

    def predict(images):
        tries.append(len(images))
        if len(tries) < 3:
            raise ConnectionResetError("by peer")
        return Regression().predict(images)

    box = BlackBox(SPEC, served(predict=predict).predict, retries=2, wait=0.0)
    assert box.query(IMAGES).shape == (7, CLASSES)
    assert box.queries == 21
    tries.clear()
    with pytest.raises(UnreachableError, match="predict raised ConnectionResetError: by peer"):
        served(predict=predict).predict(IMAGES)
    tries.clear()
    with pytest.raises(VictimUnavailableError, match="in 1 attempts"):
        BlackBox(SPEC, served(predict=predict).predict).query(IMAGES)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda: np.zeros(3), "an object of type ndarray"),
        (lambda: "int", "'int'"),
        (lambda: True, "an object of type bool"),
    ],
)
def test_a_forget_that_returns_something(returned, words):
    inner = Regression()
    with (
        pytest.raises(ValueError, match=f"forget returned {words}; expected None: forget changes the service in place"),
        served(inner, forget=lambda images, labels: returned()).after([FIRST], KEY),
    ):
        pass
    assert inner.calls == ["reset"]


def test_async_functions():
    async def later(*arguments):
        await asyncio.sleep(0)

    with (
        pytest.raises(ValueError, match=r"forget returned a coroutine \(it is `async`"),
        served(forget=later).after([FIRST], KEY),
    ):
        pass
    with pytest.raises(BadAnswerError, match="predict returned a coroutine"):
        served(predict=later).predict(IMAGES)
    with pytest.raises(ValueError, match="reset returned a coroutine"), served(reset=later).after([FIRST], KEY):
        pass


def test_the_deployed_service_is_asked_outside_and_the_forgotten_one_inside_of_the_block():
    service = served()
    with service.after([FIRST], KEY) as left:
        with pytest.raises(ValueError, match="ask what `after` gave"):
            service.predict(IMAGES)
        with pytest.raises(ValueError, match="has forgotten another request"), service.after([FIRST], KEY):
            pass
        left.predict(IMAGES)
    with pytest.raises(ValueError, match="inside its `with` block only"):
        left.predict(IMAGES)


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([], "no request"),
        ([Request(FIRST.images, FIRST.labels[:2])], "labels are int32 of shape .2,.; expected 5 integers"),
        ([Request(FIRST.images, FIRST.labels.astype(float))], "labels are float64"),
        ([Request(FIRST.images, FIRST.labels + 4)], r"expected 0 \.\.\. 3"),
        ([Request(FIRST.images + 1, FIRST.labels)], "images lie in"),
        ([Request(FIRST.images[:0], FIRST.labels[:0])], "images have shape"),
    ],
)
def test_wrong_requests_are_not_sent(requests, message):
    inner = Regression()
    with pytest.raises(ValueError, match=message), served(inner).after(requests, KEY):
        pass
    assert inner.calls == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reset": None}, "reset is None; forget changes the service in place, and every request"),
        ({"forget": None}, "forget is None; expected a function"),
        ({"predict": 3}, "predict is an object of type int; expected a function"),
        ({"pixels": {"layout": "NCHW"}}, "pixels is an object of type dict; expected an overunlearn_jax.PixelFormat"),
        ({"pixels": PixelFormat(range="unit", mean=(0.5,) * 3)}, "mean is of 3 channels; the images have 1"),
        ({"model": softmax_regression()}, "variables is missing"),
        ({"variables": lambda: None}, "model is missing"),
        ({"variables": lambda: None, "model": softmax_regression()}, "variables returned None; expected .*Variables"),
        ({"variables": Variables, "model": 3}, "model is an object of type int; expected"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        served(**arguments)


def test_what_an_object_lacks_is_told_in_one_line():
    class Bare:
        predict = Regression.predict
        forget = 3

    with pytest.raises(ValueError, match=r"^Bare has no method forget, reset; expected predict\(images\), forget"):
        from_object(Bare(), SPEC)
    with pytest.raises(ValueError, match=r"^Regression is a class; expected an object of it: Regression\(\.\.\.\)"):
        from_object(Regression, SPEC)
    odd = Regression()
    odd.pixels = "NCHW"
    with pytest.raises(ValueError, match=r"^pixels is 'NCHW'; expected"):
        from_object(odd, SPEC)
    odd.pixels = None
    assert from_object(odd, SPEC).pixels == PixelFormat()
    odd.predict = lambda images: np.zeros((len(images), 7))
    with pytest.raises(BadAnswerError, match=r"^my_module:Mine.predict answered an array of shape"):
        from_object(odd, SPEC, name="my_module:Mine").predict(FIRST.images)
    odd.forget = lambda images: None
    with (
        pytest.raises(UserCodeError, match=r"^Regression.forget raised TypeError: .*it is called as forget"),
        from_object(odd, SPEC).after([FIRST], KEY),
    ):
        pass


def test_weights_that_are_offered():
    inner, model = Regression(), softmax_regression()
    inner.weights = inner.weights.astype(np.float32)
    inner.deployed = inner.weights.copy()
    kernel = {"kernel": inner.weights}
    service = served(inner, pixels=PixelFormat("flat"), model=model, variables=lambda: Variables(kernel))
    assert isinstance(service, HasWeights)
    assert not isinstance(served(), HasWeights)
    assert not isinstance(service, Sweep)
    with service.after([FIRST], KEY) as left:
        np.testing.assert_array_equal(service.variables.params["kernel"], inner.deployed)  # as deployed, also in here
        np.testing.assert_array_equal(left.variables.params["kernel"], inner.weights)
        asked = left.predict(IMAGES)
    assert not np.array_equal(left.variables.params["kernel"], inner.weights)  # a copy: the reset left it alone
    np.testing.assert_allclose(predict_fn(model, left.variables)(IMAGES), asked, rtol=1e-4)


def test_weights_that_change_their_form():
    inner, grows = Regression(), {"kernel": np.zeros((9, 4))}

    def forget(images, labels):
        grows["more"] = np.zeros(2)

    service = served(inner, forget=forget, model=softmax_regression(), variables=lambda: Variables(dict(grows)))
    with pytest.raises(ValueError, match="variables returned a Variables of 2 arrays"), service.after([FIRST], KEY):
        pass
    assert inner.calls == ["reset"]
