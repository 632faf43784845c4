"""The wall: what passes, what it costs, and what is turned away."""

import email.message
import urllib.error
from typing import NamedTuple

import jax
import numpy as np
import pytest

from overunlearn_jax.black_box import BadAnswerError, BlackBox, QueryBudgetExceededError, VictimUnavailableError
from overunlearn_jax.types import Bounds
from tests.reference.small_victims import Counting, linear_softmax, random_images, small_spec

SPEC = small_spec()
LINEAR = linear_softmax(0, SPEC)
IMAGES = random_images(0, 7, SPEC)


def _answering(answer):
    return BlackBox(SPEC, lambda images: answer)


def test_a_python_victim_gets_batches_and_every_image_is_counted():
    victim = Counting(LINEAR)
    service = BlackBox(SPEC, victim, batch_size=3)
    answers = service.query(IMAGES)
    assert [len(batch) for batch in victim.batches] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(victim.batches), IMAGES)
    np.testing.assert_allclose(answers, LINEAR(IMAGES), rtol=1e-5)
    assert answers.dtype == np.float32
    assert service.queries == 7
    service.query(IMAGES[:2])
    assert service.queries == victim.received == 9


def test_a_local_victim_answers_and_counts_alike():
    service = BlackBox(SPEC, LINEAR, batch_size=3)
    assert service.fused is LINEAR
    np.testing.assert_allclose(service.query(IMAGES), LINEAR(IMAGES), rtol=1e-5)
    assert service.queries == 7  # what pads the last batch is no image of the attacker's


def test_only_a_partial_is_fused():
    assert BlackBox(SPEC, lambda images: LINEAR(images)).fused is None


def test_the_budget_is_exact_and_what_exceeds_it_is_not_sent():
    victim = Counting(LINEAR)
    service = BlackBox(SPEC, victim, budget=8, batch_size=3)
    service.query(IMAGES)
    assert service.left == 1
    with pytest.raises(QueryBudgetExceededError, match="2 images to send, 1 of the budget of 8 left"):
        service.query(IMAGES[:2])
    assert (service.queries, victim.received) == (7, 7)
    service.query(IMAGES[:1])
    assert (service.queries, service.left, victim.received) == (8, 0, 8)
    with pytest.raises(QueryBudgetExceededError):
        service.query(IMAGES[:1])
    assert BlackBox(SPEC, victim).left is None


NO_COUNTS = (-1, 1.0, 100.0, np.nan, np.inf, True, "3")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *[(name, value) for name in ("budget", "batch_size", "retries") for value in NO_COUNTS],
        ("batch_size", 0),
        *[("wait", value) for value in (-0.5, np.nan, np.inf)],
    ],
)
def test_settings_that_make_no_sense_are_refused(setting, value):
    with pytest.raises(ValueError, match=f"{setting} is {value}; expected"):
        BlackBox(SPEC, LINEAR, **{setting: value})


def test_a_budget_may_be_a_number_of_numpy_s():
    service = BlackBox(SPEC, LINEAR, budget=np.int64(7))
    service.query(IMAGES)
    assert service.left == 0


class _OneBuffer:
    """Answers in an array of its own, which it fills anew in every call."""

    def __init__(self, size):
        self.buffer = np.empty((size, 3), np.float32)

    def __call__(self, images):
        answer = self.buffer[: len(images)]
        answer[:] = LINEAR(images)
        return answer


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_a_victim_that_refills_one_buffer_is_read_before_it_does(batch_size):
    service = BlackBox(SPEC, _OneBuffer(batch_size), batch_size=batch_size)
    first = service.query(IMAGES)
    service.query(IMAGES[::-1])
    np.testing.assert_allclose(first, LINEAR(IMAGES), rtol=1e-5)


def test_a_victim_that_writes_into_its_input_changes_nothing_of_the_caller_s():
    images = IMAGES.copy()

    def normalising(batch):
        batch -= 1.0
        return np.asarray(LINEAR(batch + 1.0))

    answers = BlackBox(SPEC, normalising, batch_size=3).query(images)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_allclose(answers, LINEAR(IMAGES), rtol=1e-4)


def test_a_victim_that_spoils_its_input_before_it_fails_is_sent_the_same_images_again(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    calls = []

    def failing_once(batch):
        calls.append(batch)
        if len(calls) == 1:
            batch[:] = 0
            raise ConnectionResetError
        return np.asarray(LINEAR(batch))

    answers = BlackBox(SPEC, failing_once, retries=1).query(IMAGES)
    np.testing.assert_allclose(answers, LINEAR(IMAGES), rtol=1e-5)


def test_8_bit_images_are_told_the_way_into_the_bounds_of_the_service():
    service = BlackBox(small_spec(bounds=Bounds(-1.0, 1.0)), LINEAR)
    with pytest.raises(ValueError, match=r"dtype uint8; expected floats in \[-1\.0, 1\.0\]: .* by x / 255 \* 2 - 1$"):
        service.query(np.zeros((1, 6, 6, 1), np.uint8))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES[0], r"shape \(6, 6, 1\); small expects \(n, 6, 6, 1\)"),
        (IMAGES[:, :5], r"shape \(7, 5, 6, 1\)"),
        (IMAGES[:0], r"shape \(0, 6, 6, 1\)"),
        (np.zeros((1, 6, 6, 1), np.uint8), "dtype uint8.*255"),
        (IMAGES + 0.5, r"lie in \[0.*expects \[-0.5, 0.5\]: scale or clip"),
        (np.where(np.arange(36).reshape(6, 6, 1) == 7, np.nan, IMAGES), "NaN"),
        (np.where(np.arange(36).reshape(6, 6, 1) == 7, np.inf, IMAGES), "inf"),
    ],
)
def test_images_that_do_not_fit_are_refused_unsent_and_uncounted(images, message):
    victim = Counting(LINEAR)
    service = BlackBox(SPEC, victim)
    with pytest.raises(ValueError, match=message):
        service.query(images)
    assert (service.queries, victim.received) == (0, 0)


def test_images_on_the_bounds_pass():
    BlackBox(SPEC, LINEAR).query(np.stack([np.full((6, 6, 1), value, np.float32) for value in SPEC.bounds]))


def test_images_on_bounds_that_float32_rounds_outwards_pass():
    spec = small_spec(bounds=Bounds(-0.7, 0.7))  # float32(0.7) is below 0.7, float32(0.3) above 0.3
    wide = small_spec(bounds=Bounds(-0.3, 0.3))
    for each in (spec, wide):
        images = np.clip(10 * IMAGES, np.float32(each.bounds.lower), np.float32(each.bounds.upper))
        BlackBox(each, LINEAR).query(images)


def test_what_reaches_the_victim_is_float32():
    victim = Counting(LINEAR)
    BlackBox(SPEC, victim).query(IMAGES.astype(np.float64))
    assert victim.batches[0].dtype == np.float32


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.array([[3.0, -1.0, 0.5]]), "softmax"),
        (np.array([[0.2, 0.2, 0.2]]), "sum to between 0.6 and 0.6"),
        (np.array([[0.7, 0.7, -0.4]]), "softmax"),  # sums to 1, and is none the less no probability
        (np.array([[0.5, 0.5]]), r"shape \(1, 2\) to 1 images; expected \(1, 3\)"),
        (np.array([0.2, 0.3, 0.5]), r"shape \(3,\)"),
        (np.array([[np.nan, 0.5, 0.5]]), "finite"),
        (np.array([[np.inf, 0.0, 0.0]]), "finite"),
        (np.array([[1, 0, 0]]), "int64"),
        ([["a", "b", "c"]], "<U1"),
        (None, r"shape \(\)"),
    ],
)
def test_an_answer_that_is_no_probability_is_refused(answer, message):
    with pytest.raises(BadAnswerError, match=message):
        _answering(answer).query(IMAGES[:1])


def test_a_bad_answer_in_a_later_batch_is_refused():
    answers = iter([np.full((2, 3), 1 / 3), np.zeros((2, 3))])
    with pytest.raises(BadAnswerError, match="sum to between 0 and 0"):
        BlackBox(SPEC, lambda images: next(answers), batch_size=2).query(IMAGES[:4])


def test_a_local_victim_that_answers_logits_is_refused():
    with pytest.raises(BadAnswerError, match="softmax"):
        BlackBox(SPEC, jax.tree_util.Partial(lambda images: images.reshape(len(images), -1)[:, :3])).query(IMAGES)


def test_probabilities_rounded_to_float16_pass():
    service = BlackBox(SPEC, lambda images: np.asarray(LINEAR(images)).astype(np.float16))
    assert service.query(IMAGES).dtype == np.float32


class _Unreliable:
    """Fails at the calls that it is told to fail at."""

    def __init__(self, failing, error):
        self.victim, self.failing, self.error, self.calls = Counting(LINEAR), failing, error, 0

    def __call__(self, images):
        self.calls += 1
        if self.calls in self.failing:
            raise self.error
        return self.victim(images)


def test_a_victim_that_cannot_be_reached_is_asked_again_later(monkeypatch):
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    victim = _Unreliable({2, 3}, ConnectionResetError("reset"))
    service = BlackBox(SPEC, victim, batch_size=3, retries=2, wait=0.5)
    np.testing.assert_allclose(service.query(IMAGES), LINEAR(IMAGES), rtol=1e-5)
    assert pauses == [0.5, 1.0]
    assert service.queries == 7 + 2 * 3  # the batch that failed twice was sent three times


def test_a_victim_that_stays_away_is_named(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    victim = _Unreliable({1, 2, 3}, TimeoutError("no answer"))
    service = BlackBox(SPEC, victim, retries=2)
    with pytest.raises(VictimUnavailableError, match=r"7 images in 3 attempts \(no answer\)"):
        service.query(IMAGES)
    assert victim.calls == 3


def test_retries_stay_within_the_budget(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    victim = _Unreliable({1, 2, 3}, TimeoutError())
    service = BlackBox(SPEC, victim, retries=5, budget=20)
    with pytest.raises(QueryBudgetExceededError):
        service.query(IMAGES)
    assert (victim.calls, service.queries) == (2, 14)


def test_a_mistake_of_the_callable_is_not_repeated():
    victim = _Unreliable({1}, KeyError("bug"))
    with pytest.raises(KeyError, match="bug"):
        BlackBox(SPEC, victim, retries=5).query(IMAGES)
    assert victim.calls == 1


class _TransportError(Exception):
    """As an HTTP client's own that is no OSError."""


class _Response(NamedTuple):
    status_code: int


class _StatusError(OSError):
    """As one of requests."""

    def __init__(self, status):
        super().__init__(f"status {status}")
        self.response = _Response(status)


def test_a_client_s_own_errors_are_retried_where_they_are_named(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(_TransportError):
        BlackBox(SPEC, _Unreliable({1}, _TransportError()), retries=1).query(IMAGES)
    service = BlackBox(SPEC, _Unreliable({1}, _TransportError()), retries=1, retry_on=(OSError, _TransportError))
    np.testing.assert_allclose(service.query(IMAGES), LINEAR(IMAGES), rtol=1e-5)
    with pytest.raises(ValueError, match=r"retry_on is .*; expected a tuple of kinds of exceptions"):
        BlackBox(SPEC, LINEAR, retry_on=("TimeoutError",))


def _http_error(status):
    return urllib.error.HTTPError("http://service", status, "told", email.message.Message(), None)


@pytest.mark.parametrize("make", [_http_error, _StatusError])
@pytest.mark.parametrize(("status", "calls"), [(401, 1), (403, 1), (404, 1), (408, 3), (429, 3), (500, 3), (503, 3)])
def test_a_refusal_is_not_retried_and_a_failure_is(monkeypatch, make, status, calls):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    victim = _Unreliable({1, 2, 3}, make(status))
    message = f"refused 7 images with HTTP status {status}" if calls == 1 else "7 images in 3 attempts"
    with pytest.raises(VictimUnavailableError, match=message):
        BlackBox(SPEC, victim, retries=2).query(IMAGES)
    assert victim.calls == calls
