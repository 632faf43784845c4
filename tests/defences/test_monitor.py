"""The monitor's interval against scipy, its verdicts against accuracies by hand, its limits and what it refuses."""

from contextlib import contextmanager

import jax
import numpy as np
import pytest
import scipy.stats

from overunlearn_jax.defences.canaries import nearest_to_boundary
from overunlearn_jax.defences.defended import defended
from overunlearn_jax.defences.honest_requests import CalibrationError
from overunlearn_jax.defences.monitor import Monitor, Watcher
from overunlearn_jax.services.callables import CallableService
from overunlearn_jax.services.service import ONLY, After, Deletion
from overunlearn_jax.types import Bounds, DatasetSpec, Request, Split

SPEC = DatasetSpec("points", (1, 1, 1), Bounds(-0.5, 0.5), ("ant", "bee", "cat"))
KEY = jax.random.key(0)
EACH = 40  # test images of a class


def _answers(wrong):
    """A model that takes the first `wrong[label]` test images of each class for the next one; pixels tell which."""

    def predict(images):
        values = np.rint((np.asarray(images)[:, 0, 0, 0] + 0.5) * 200).astype(int)
        labels, number = values // EACH, values % EACH
        shown = np.where(number < np.asarray(wrong)[labels], (labels + 1) % 3, labels)
        return np.eye(3, dtype=np.float32)[shown] * 0.8 + 0.2 / 3

    return predict


def _points():
    values = np.arange(3 * EACH)
    images = (values / 200 - 0.5).astype(np.float32).reshape(-1, 1, 1, 1)
    return Split(images, (values // EACH).astype(np.int32), values)


POINTS = _points()


class Costs:
    """A service that loses test images of a class by what was submitted: `costs(images, labels)` of each class."""

    spec = SPEC

    def __init__(self, costs):
        self._costs, self.calls = costs, []
        self.predict = _answers([2, 2, 2])

    @contextmanager
    def after(self, requests, key):
        del key  # Unused: it forgets without chance.
        self.calls.append([len(each.labels) for each in requests])
        lost = sum(np.asarray(self._costs(each.images, each.labels)) for each in requests)
        yield After(Deletion(0.5), None if lost is None else _answers(np.array([2, 2, 2]) + lost))


def by_number(images, labels):
    """A request's own samples decide, between 0 and 5 images of its class."""
    seed = int(np.rint(np.abs(images).sum() * 1000)) % 6
    return [seed if label == labels[0] else 0 for label in range(3)]


def monitor(**changes):
    return Monitor(POINTS, POINTS, KEY, **{"requests": 10, **changes})


def _request(label, count=4):
    rows = np.flatnonzero(POINTS.labels == label)[:count]
    return Request(POINTS.images[rows], POINTS.labels[rows])


@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_the_limit_is_the_prediction_interval_of_scipy(confidence):
    service = Costs(by_number)
    limits = Watcher(monitor(confidence=confidence), service).limits([_request(1)])[ONLY]
    assert service.calls == [[4]] * 10
    seen = Costs(by_number)
    losses = []
    # the same honest requests, their losses read off the answers
    watcher = Watcher(monitor(confidence=confidence), seen)
    real = seen.after

    @contextmanager
    def noted(requests, key):
        with real(requests, key) as left:
            shown = left.predict(POINTS.images).argmax(-1)
            right = [(shown[POINTS.labels == label] == label).mean() for label in range(3)]
            losses.append(38 / 40 - np.array(right))
            yield left

    seen.after = noted
    watcher.limits([_request(1)])
    losses = np.array(losses)
    assert losses[:, 1].std() > 0
    expected = scipy.stats.t(9, losses[:, 1].mean(), losses[:, 1].std(ddof=1) * np.sqrt(1 + 1 / 10)).ppf(
        1 - (1 - confidence) / 3
    )
    assert limits.most[1] == pytest.approx(expected)
    assert limits.mean == pytest.approx(losses.mean(0))
    assert limits.most[0] == limits.most[2] == pytest.approx(1 / EACH)  # one image is what accuracy is known to


@pytest.mark.parametrize(("lost", "released"), [([0, 0, 0], True), ([0, 3, 1], True), ([0, 3, 2], False)])
def test_a_class_that_lost_more_than_one_more_honest_request_would_is_named(lost, released):
    watcher = Watcher(monitor(), Costs(lambda images, labels: [0, 3, 0]))
    limits = watcher.limits([_request(1)])
    verdict = watcher.judge({ONLY: After(Deletion(0.0), _answers(np.array([2, 2, 2]) + lost))}, limits)[ONLY]
    assert verdict.released == released
    if not released:
        assert (verdict.score, verdict.threshold) == (pytest.approx(2 / 40), pytest.approx(1 / 40))
        assert verdict.why.startswith("cat lost 5.0 points; honest requests of as many samples lose 0.0, and 2.5 at")
        assert "10 requests" in verdict.why


def test_honest_requests_are_released_as_often_as_promised():
    released = []
    for number in range(60):
        rng = np.random.default_rng(number)
        watcher = Watcher(monitor(confidence=0.9), Costs(lambda images, labels, rng=rng: rng.binomial(20, 0.3, 3)))
        limits = watcher.limits([_request(1)])
        left = {ONLY: After(Deletion(0.0), _answers(2 + rng.binomial(20, 0.3, 3)))}
        released.append(watcher.judge(left, limits)[ONLY].released)
    assert np.mean(released) >= 0.9 - 2 * np.sqrt(0.09 / 60)


@pytest.mark.parametrize(("confidence", "released"), [(1.0, True), (0.0, False)])
def test_limit_cases_ask_nobody_for_honest_requests(confidence, released):
    service = Costs(lambda images, labels: [0, 0, 0])
    watcher = Watcher(monitor(confidence=confidence), service)
    limits = watcher.limits([_request(1)])
    assert service.calls == []
    lost = [38, 38, 38] if released else [0, 0, 0]
    left = {ONLY: After(Deletion(0.0), _answers(np.array([2, 2, 2]) + lost))}
    assert watcher.judge(left, limits)[ONLY].released == released


@pytest.mark.parametrize(
    ("most_lost", "lost", "released"), [(0.05, 2, True), (0.05, 3, False), (0.0, 1, False), (1.0, 8, True)]
)
def test_a_cap_holds_whatever_honest_requests_cost(most_lost: float, lost: int, released: bool):
    costly = iter([0, 9] * 5)  # of 40 images: the prediction interval lets nearly everything pass
    watcher = Watcher(monitor(most_lost=most_lost), Costs(lambda images, labels: [0, next(costly), 0]))
    limits = watcher.limits([_request(1)])
    verdict = watcher.judge({ONLY: After(Deletion(0.0), _answers(np.array([2, 2 + lost, 2])))}, limits)[ONLY]
    assert verdict.released == released
    if most_lost < 1:
        assert verdict.threshold == pytest.approx(most_lost)
        assert f"; capped at {100 * most_lost:g} points)" in verdict.why
    else:
        assert limits[ONLY].most[1] > 9 / EACH
        assert "capped" not in verdict.why


def test_a_cap_holds_where_nobody_is_asked():
    watcher = Watcher(monitor(confidence=1.0, most_lost=0.05), Costs(lambda images, labels: [0, 0, 0]))
    limits = watcher.limits([_request(1)])
    for lost, released in ((2, True), (3, False)):
        left = {ONLY: After(Deletion(0.0), _answers(np.array([2, 2 + lost, 2])))}
        assert watcher.judge(left, limits)[ONLY].released == released


def test_the_same_numbers_of_samples_are_calibrated_once():
    service = Costs(by_number)
    watcher = Watcher(monitor(requests=3), service)
    for request in (_request(1), _request(1)._replace(images=np.zeros((4, 1, 1, 1))), _request(0), _request(1, 5)):
        watcher.limits([request])
    assert [sum(each) for each in service.calls] == [4, 4, 4, 4, 4, 4, 5, 5, 5]


def test_no_model_left_is_rolled_back():
    watcher = Watcher(monitor(), Costs(lambda images, labels: [0, 0, 0]))
    limits = watcher.limits([_request(1)])
    for left in (
        After(Deletion(0.0, diverged="it blew up"), None),
        After(Deletion(0.0), lambda x: np.full((len(x), 3), np.nan)),
    ):
        verdict = watcher.judge({ONLY: left}, limits)[ONLY]
        assert not verdict.released
        assert verdict.why in ("it blew up", "the model's answers are not finite")


def test_canaries_are_a_class_of_their_own():
    of_cat = Split(*(part[2 * EACH + 2 : 2 * EACH + 12] for part in POINTS))  # ten that are right
    kept = Split(*(np.concatenate([part[: 2 * EACH], part[-20:]]) for part in POINTS))  # tests none of these
    watcher = Watcher(Monitor(POINTS, kept, KEY, canaries=of_cat), Costs(lambda images, labels: [0, 3, 0]))
    limits = watcher.limits([_request(1)])
    verdict = watcher.judge({ONLY: After(Deletion(0.0), _answers([2, 5, 6]))}, limits)[ONLY]
    assert not verdict.released
    assert verdict.score == pytest.approx(0.4)
    assert verdict.why.startswith("canaries lost 40.0 points")


def test_the_samples_nearest_to_the_boundary():
    def predict(images):
        share = 0.5 + np.asarray(images)[:, 0, 0, 0]
        return np.stack([share, 1 - share, np.zeros_like(share)], -1)

    images = np.array([0.4, 0.1, -0.1, 0.2, 0.3], np.float32).reshape(-1, 1, 1, 1)
    split = Split(images, np.array([0, 0, 0, 0, 1], np.int32), np.arange(5))
    assert nearest_to_boundary(predict, split, 2).ids.tolist() == [1, 3]
    with pytest.raises(ValueError, match="count is 4; expected 1 to 3"):
        nearest_to_boundary(predict, split, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"confidence": 1.1}, "confidence is 1.1"),
        ({"confidence": float("nan")}, "confidence is nan"),
        ({"requests": 1}, "expected two honest ones or more"),
        ({"smallest": 0}, "smallest is 0"),
        ({"most_lost": 1.5}, "most_lost is 1.5; expected a fraction"),
        ({"held": Split(*(part[:0] for part in POINTS))}, "the calibration set is empty"),
        ({"test": Split(*(part[:0] for part in POINTS))}, "no test images"),
        ({"canaries": Split(*(part[:0] for part in POINTS))}, "empty set of canaries"),
    ],
)
def test_settings_out_of_range(changes, message):
    with pytest.raises(ValueError, match=message):
        Watcher(monitor()._replace(**changes), Costs(by_number))


@pytest.mark.parametrize(
    ("part", "message"),
    [("test", "no test images of class bee"), ("held", "the calibration set has 0 samples of class 1")],
)
def test_a_class_that_is_not_there_is_told_before_anything_is_forgotten(part, message):
    service = Costs(by_number)
    without = Split(*(each[POINTS.labels != 1] for each in POINTS))
    with pytest.raises(CalibrationError, match=message):
        Watcher(monitor()._replace(**{part: without}), service).limits([_request(1)])
    assert service.calls == []


def test_an_honest_request_that_destroys_the_model_is_no_yardstick():
    class Broken(Costs):
        @contextmanager
        def after(self, requests, key):
            yield After(Deletion(0.0, diverged="no"), None)

    with pytest.raises(CalibrationError, match="nothing to compare with"):
        Watcher(monitor(), Broken(by_number)).limits([_request(1)])


def test_a_service_that_was_rolled_back_is_itself_again_and_answers():
    """One of three functions has no copy: it can be asked only once its deletion was taken back."""
    wrong, calls = np.array([2, 2, 2]), []

    def forget(images, labels):
        wrong[:] += 10
        calls.append(len(labels))

    def reset():
        wrong[:] = 2

    service = CallableService(SPEC, lambda images: _answers(wrong)(images), forget, reset)
    request = Request(POINTS.images[:3], POINTS.labels[:3])
    for in_parts in (False, True):
        safe = defended(service, monitor=Monitor(POINTS, POINTS, KEY, 2, confidence=0.0, in_parts=in_parts))
        with safe.after([request], KEY) as left:
            assert left.deletion.refused.samples == 3
            np.testing.assert_array_equal(left.predict(POINTS.images), _answers([2, 2, 2])(POINTS.images))
    assert calls[0] == 3
