"""Bounds on a step against NumPy, at their limits, and against a push where theory says that they stop it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from overunlearn_jax import unlearn
from overunlearn_jax.defences.bounded_service import BoundedService
from overunlearn_jax.defences.bounds import bounded, shortened, step_bound
from overunlearn_jax.defences.honest_requests import CalibrationError, composition, honest_requests
from overunlearn_jax.defences.honest_steps import StepBound, honest_lengths, longest_honest
from overunlearn_jax.services.local import LocalService
from overunlearn_jax.services.service import ONLY, Variant
from overunlearn_jax.services.sweep import SweepService
from overunlearn_jax.types import Request, Split, Variables
from overunlearn_jax.unlearn import step_cosine, step_length
from tests.services.fakes import SPEC, InPlace, InPlaceService, splits
from tests.unlearn.small_model import BOUNDS, CLASSES, assert_same_tree, request, small_model, softmax_regression

KEY = jax.random.key(3)
MODEL = small_model()
WEIGHTS = MODEL.init(KEY)
RETAIN = Split(*request(7, 60), np.arange(60))
MANY_STEPS = {
    "gradient_ascent": unlearn.gradient_ascent(bound=1e9),
    "neg_grad_plus": unlearn.neg_grad_plus(weight=0.2),
    "scrub": unlearn.scrub(),
    "influence": unlearn.influence(damping=1.0),
    "random_labels": unlearn.random_labels(),
    "salun": unlearn.salun(),
    "fine_tuning": unlearn.fine_tuning(num_classes=CLASSES, learning_rate=0.3, epochs=5),
}


@pytest.mark.parametrize("length", [0.0, 0.5, 5.0, 5.1, np.inf])
def test_the_transformation_scales_as_numpy_does(length):
    update = {"a": np.array([3.0, 0.0], np.float32), "b": np.array([[4.0]], np.float32)}
    got, _ = step_bound(length).update(update, step_bound(length).init(update))
    for name, leaf in update.items():
        np.testing.assert_allclose(got[name], leaf * min(1.0, length / 5.0), rtol=1e-6)
    if length > 5:
        assert all(np.array_equal(got[name], update[name]) for name in update)


@pytest.mark.parametrize("length", [0.0, 1.0, np.inf])
def test_a_request_without_a_gradient_stays_without_one(length):
    update = {"a": jnp.zeros(3)}
    got, _ = step_bound(length).update(update, optax.EmptyState())
    assert got["a"].tolist() == [0.0] * 3


@pytest.mark.parametrize("length", [-1.0, float("nan")])
def test_lengths_out_of_range(length):
    for make in (step_bound, lambda each: bounded(MANY_STEPS["scrub"], each)):
        with pytest.raises(ValueError, match="the longest step is"):
            make(length)
    with pytest.raises(ValueError, match="expected an L2 norm of 0 or more"):
        shortened(WEIGHTS, WEIGHTS, length)


@pytest.mark.parametrize("name", MANY_STEPS)
def test_a_wrapped_method_is_itself_stands_still_or_goes_part_of_its_way(name):
    method, (images, labels) = MANY_STEPS[name], request(1, 20)
    bare = method(MODEL, WEIGHTS, images, labels, KEY, RETAIN)
    whole = step_length(WEIGHTS, bare)
    assert whole > 1e-4
    assert_same_tree(bounded(method, np.inf)(MODEL, WEIGHTS, images, labels, KEY, RETAIN), bare)
    assert_same_tree(bounded(method, 1.01 * whole)(MODEL, WEIGHTS, images, labels, KEY, RETAIN), bare)
    assert_same_tree(bounded(method, 0.0)(MODEL, WEIGHTS, images, labels, KEY, RETAIN), WEIGHTS)
    half = bounded(method, whole / 2)(MODEL, WEIGHTS, images, labels, KEY, RETAIN)
    expected = jax.tree.map(lambda old, new: np.asarray(old) + 0.5 * (np.asarray(new) - old), WEIGHTS, bare)
    assert_same_tree(half, jax.tree.map(jnp.asarray, expected), atol=1e-6)
    assert step_length(WEIGHTS, half) == pytest.approx(whole / 2, rel=1e-5)


def test_a_wrapped_method_does_not_compile_again():
    traces = []
    model = small_model(traces=traces)
    method = bounded(unlearn.scrub(), 1e-3)
    method(model, WEIGHTS, *request(1, 16), KEY, RETAIN)
    first = len(traces)
    method(model, WEIGHTS, *request(2, 16), jax.random.key(9), RETAIN)
    assert len(traces) == first


def test_a_first_order_step_behind_a_transformation_is_the_projected_one():
    images, labels = request(1, 20)
    tau, longest = 0.1, 0.2
    inside = unlearn.first_order(tau, bounds=BOUNDS, scope="all", clip=step_bound(longest / tau))
    outside = bounded(unlearn.first_order(tau, bounds=BOUNDS, scope="all"), longest)
    one, other = (each(MODEL, WEIGHTS, images, labels, KEY) for each in (inside, outside))
    assert step_length(WEIGHTS, one) == pytest.approx(longest, rel=1e-5)
    assert_same_tree(one, other, atol=1e-6)


# Honest steps.

DATA = splits()
LINEAR = softmax_regression()
TRAINED = LINEAR.init(KEY)


def _service(tau=0.05):
    method = unlearn.first_order(tau, bounds=BOUNDS, scope="all")
    return LocalService(SPEC, LINEAR, TRAINED, method, train=DATA.train, gives_retained=False)


def _like(*counts):
    return composition([Request(np.zeros((sum(counts), 3, 3, 1)), np.repeat(np.arange(len(counts)), counts))])


def test_honest_requests_have_the_same_numbers_and_no_sample_twice():
    like = composition(
        [Request(DATA.train.images[:3], np.array([0, 2, 0])), Request(DATA.train.images[:2], np.array([2, 1]))]
    )
    drawn = honest_requests(DATA.train, like, 6, KEY)
    assert len(drawn) == 6
    for sequence in drawn:
        assert composition(sequence) == like
        rows = [np.flatnonzero((DATA.train.images == each).all((1, 2, 3))) for r in sequence for each in r.images]
        assert len({int(row[0]) for row in rows}) == 5
        assert all(
            DATA.train.labels[row[0]] == label
            for row, label in zip(rows, np.concatenate([r.labels for r in sequence]), strict=True)
        )
    assert len({sequence[0].images.tobytes() for sequence in drawn}) > 1
    again = honest_requests(DATA.train, like, 6, KEY)
    assert all(np.array_equal(one[0].images, other[0].images) for one, other in zip(drawn, again, strict=True))


def test_lengths_are_those_of_the_gradients_by_hand():
    lengths = honest_lengths(_service(), DATA.train, _like(4, 2), 5, KEY)[ONLY]
    bare = _service()
    assert lengths.shape == (5,)
    images, labels = DATA.train.images, DATA.train.labels
    # of all ways to draw, the shortest and the longest: triangle inequality over single gradients
    flat = images.reshape(len(images), -1)
    answers = np.asarray(bare.predict(images))
    norms = np.linalg.norm(flat[:, :, None] * (answers - np.eye(4)[labels])[:, None, :], axis=(1, 2))
    most = 0.05 * (np.sort(norms[labels == 0])[-4:].sum() + np.sort(norms[labels == 1])[-2:].sum())
    assert (lengths > 0).all()
    assert (lengths <= most * (1 + 1e-5)).all()
    many = honest_lengths(_service(), DATA.train, _like(16), 5, KEY)[ONLY]
    assert many.mean() > 1.5 * honest_lengths(_service(), DATA.train, _like(4), 5, KEY)[ONLY].mean()


@pytest.mark.parametrize(("count", "quantile", "rank"), [(19, 0.95, 19), (20, 0.95, 20), (99, 0.9, 90), (9, 0.5, 5)])
def test_the_bound_is_the_conformal_quantile(count, quantile, rank):
    lengths = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
    assert longest_honest(lengths, quantile) == rank


def test_one_more_honest_step_is_longer_as_rarely_as_promised():
    draws = np.random.default_rng(0).lognormal(size=(4000, 20))
    longer = [draw[19] > longest_honest(draw[:19], 0.9) for draw in draws]
    assert np.mean(longer) == pytest.approx(0.1, abs=0.015)


def test_limit_cases_of_the_service_need_no_honest_request():
    asked = Request(DATA.train.images[:6], DATA.train.labels[:6])
    none_held = DATA.train._replace(labels=np.zeros_like(DATA.train.labels))
    with _service().after([asked], KEY) as bare:
        pass
    for quantile, expected in ((1.0, bare.variables), (0.0, TRAINED)):
        with BoundedService(_service(), StepBound(none_held, KEY, quantile=quantile)).after([asked], KEY) as left:
            assert_same_tree(left.variables, expected)
            assert left.deletion.step_kept == quantile


def test_a_sweep_is_bounded_rate_by_rate_and_directions_stay():
    def sweep(taus, model, variables, images, labels, key):
        return unlearn.sweep_tau(taus, model, variables, images, labels, key, bounds=BOUNDS, scope="all")

    service = SweepService(SPEC, LINEAR, TRAINED, {"corrected": sweep}, (0.01, 0.05), train=DATA.train)
    safe = BoundedService(service, StepBound(DATA.train, KEY, requests=4, quantile=0.5))
    dark = Request(np.full((6, 3, 3, 1), 0.5, np.float32), np.zeros(6, np.int32))  # far from any sample
    with service.after_each([dark], KEY) as bare, safe.after_each([dark], KEY) as left:
        for tau in (0.01, 0.05):
            one, other = (each[Variant("corrected", tau)] for each in (bare, left))
            assert other.deletion.step_kept < 1
            assert step_length(TRAINED, other.variables) == pytest.approx(
                safe.longest([dark])[Variant("corrected", tau)], rel=1e-4
            )
            assert step_cosine(TRAINED, one.variables, other.variables) == pytest.approx(1, abs=1e-5)
            assert not np.array_equal(one.predict(dark.images), other.predict(dark.images))
    lengths = [safe.longest([dark])[Variant("corrected", tau)] for tau in (0.01, 0.05)]
    assert lengths[1] == pytest.approx(5 * lengths[0], rel=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantile": 1.5}, "quantile is 1.5"),
        ({"quantile": float("nan")}, "quantile is nan"),
        ({"requests": 0}, "requests are 0"),
        ({"requests": 2.5}, "requests are 2.5"),
        ({"requests": 10}, "give at least 19, or a smaller quantile"),
        ({"held": Split(*(part[:0] for part in DATA.train))}, "the calibration set is empty"),
    ],
)
def test_bounds_that_cannot_be_found(change, message):
    with pytest.raises(ValueError, match=message):
        BoundedService(_service(), StepBound(DATA.train, KEY)._replace(**change))


def test_a_class_without_enough_samples_and_a_service_without_weights():
    safe = BoundedService(_service(), StepBound(DATA.train, KEY))
    many = Request(np.zeros((70, 3, 3, 1), np.float32), np.zeros(70, np.int32))
    with (
        pytest.raises(CalibrationError, match=r"has \d+ samples of class 0, and a request of 70"),
        safe.after([many], KEY),
    ):
        pass
    with pytest.raises(ValueError, match="offers its weights, and this one does not"):
        BoundedService(InPlaceService(InPlace()), StepBound(DATA.train, KEY))


def test_a_step_that_diverges_is_told():
    safe = BoundedService(_service(3e38), StepBound(DATA.train, KEY, quantile=1.0))
    with safe.after([Request(DATA.train.images, DATA.train.labels)], KEY) as left:
        assert "diverged" in left.deletion.diverged
        assert left.predict is None


def test_weights_that_are_not_finite_stay_so():
    broken = WEIGHTS._replace(params=jax.tree.map(lambda leaf: leaf * np.inf, WEIGHTS.params))
    assert shortened(WEIGHTS, broken, 1.0) is broken
    assert shortened(WEIGHTS, broken, 0.0) is WEIGHTS


def test_statistics_go_the_same_part_of_the_way():
    after = Variables(
        jax.tree.map(lambda leaf: leaf + 1.0, WEIGHTS.params), jax.tree.map(lambda leaf: leaf + 2.0, WEIGHTS.state)
    )
    near = shortened(WEIGHTS, after, step_length(WEIGHTS, after) / 4)
    np.testing.assert_allclose(near.state["mean_square"], WEIGHTS.state["mean_square"] + 0.5, rtol=1e-5)
