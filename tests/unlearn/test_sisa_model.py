"""SISA's models as one: means and votes by hand, behind the black box; and the cost model against a simulation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.models import predict_fn, pure_model, vgg
from overunlearn_jax.types import Bounds, DatasetSpec, Variables
from overunlearn_jax.unlearn.sisa import (
    AGGREGATIONS,
    Assignment,
    Redone,
    Sisa,
    SisaSettings,
    assign,
    check_aggregation,
    expected_work_share,
    sisa_model,
    sisa_variables,
)
from overunlearn_jax.unlearn.sisa.cost import first_touched, redone
from tests.unlearn.small_model import CLASSES, IMAGE_SHAPE, request

SPEC = DatasetSpec("noise", IMAGE_SHAPE, Bounds(-0.5, 0.5), tuple("abcd"))
NOWHERE = Assignment(np.zeros(0, np.int32), np.zeros(0, np.int32))
# Answers to one image whose pixels are all 1, from three shards.
LOGITS = np.log([[0.5, 0.3, 0.1, 0.1], [0.1, 0.6, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]])


def _linear():
    return pure_model(
        lambda key: {"kernel": jax.random.normal(key, (9, CLASSES))},
        lambda params, images: images.reshape(len(images), -1) @ params["kernel"],
    )


def _sisa(kernels):
    """A service whose shards end with these kernels (s, 9, k), each after a slice with another."""
    variables = [Variables({"kernel": np.asarray(kernel, np.float32)}, ()) for kernel in kernels]
    unused = jax.tree.map(lambda leaf: leaf + 99, variables)
    return Sisa(tuple(zip(unused, variables, strict=True)), NOWHERE)


BY_HAND = _sisa(LOGITS[:, None] * np.ones((9, 1)) / 9)
ONES = np.ones((1, *IMAGE_SHAPE), np.float32)


def test_the_mean_is_that_of_the_probabilities():
    answer = predict_fn(sisa_model(_linear(), 3, "mean"), sisa_variables(BY_HAND))(ONES)
    np.testing.assert_allclose(answer, [[1.0 / 3, 0.4, 0.5 / 3, 0.1]], rtol=1e-5)


def test_the_vote_is_the_share_of_votes():
    # the mean prefers class 1, the votes class 0
    model, variables = sisa_model(_linear(), 3, "vote"), sisa_variables(BY_HAND)
    answer = predict_fn(model, variables)(ONES)
    np.testing.assert_allclose(answer, [[2 / 3, 1 / 3, 0, 0]], rtol=1e-6, atol=1e-37)
    assert np.isfinite(model.apply(variables, ONES, None)[0]).all()


def test_a_tie_goes_to_the_lower_label():
    tied = _sisa(np.asarray([kernel for shard in BY_HAND.checkpoints[:2] for kernel in [shard[-1].params["kernel"]]]))
    answer = predict_fn(sisa_model(_linear(), 2, "vote"), sisa_variables(tied))(ONES)
    assert answer[0, 0] == answer[0, 1]
    assert answer.argmax() == 0


def test_random_shards_against_numpy():
    kernels = np.random.default_rng(0).normal(size=(5, 9, CLASSES)) * 3
    images, _ = request(1, 20)
    logits = images.reshape(20, -1).astype(np.float64) @ kernels.astype(np.float32)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    votes = np.stack([np.bincount(column, minlength=CLASSES) for column in logits.argmax(-1).T]) / 5
    sisa = _sisa(kernels)
    for aggregation, expected in (("mean", p.mean(0)), ("vote", votes)):
        answer = predict_fn(sisa_model(_linear(), 5, aggregation), sisa_variables(sisa))(images)
        np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-7)
        assert answer.dtype == jnp.float32
        logits, _ = sisa_model(_linear(), 5, aggregation).apply(sisa_variables(sisa), images, None)
        np.testing.assert_allclose(np.exp(logits), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_one_shard_is_the_model_itself(aggregation):
    sisa = _sisa(np.random.default_rng(0).normal(size=(1, 9, CLASSES)))
    images, _ = request(1, 6)
    alone = predict_fn(_linear(), sisa.checkpoints[0][-1])(images)
    answer = predict_fn(sisa_model(_linear(), 1, aggregation), sisa_variables(sisa))(images)
    expected = alone if aggregation == "mean" else np.eye(CLASSES)[alone.argmax(-1)]
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-37)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_black_box_is_queried_with_it(aggregation):
    images, _ = request(1, 5)
    service = BlackBox(SPEC, predict_fn(sisa_model(_linear(), 3, aggregation), sisa_variables(BY_HAND)))
    answer = service.query(images)
    assert service.fused is not None
    assert service.queries == 5
    if aggregation == "vote":  # only whole votes
        np.testing.assert_allclose(answer * 3, np.round(answer * 3), atol=1e-5)


def test_convolutional_shards_with_statistics():
    model = vgg(3, (8, 8, 1), blocks=1, width=4)
    each = [jax.jit(model.init)(jax.random.key(seed)) for seed in range(2)]
    sisa = Sisa(tuple((variables,) for variables in each), NOWHERE)
    images = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 8, 8, 1)).astype(np.float32)
    answer = predict_fn(sisa_model(model, 2), sisa_variables(sisa))(images)
    expected = np.mean([predict_fn(model, variables)(images) for variables in each], axis=0)
    np.testing.assert_allclose(answer, expected, rtol=1e-5)


def test_init_draws_each_shard_on_its_own():
    variables = sisa_model(_linear(), 3).init(jax.random.key(0))
    kernels = variables.params["kernel"]
    assert kernels.shape == (3, 9, CLASSES)
    assert not np.allclose(kernels[0], kernels[1])


def test_an_aggregation_can_be_checked_before_there_are_shards():
    for aggregation in AGGREGATIONS:
        check_aggregation(aggregation)
    with pytest.raises(ValueError, match="aggregation is 'median'; expected one of mean, vote"):
        check_aggregation("median")


def test_what_cannot_be_aggregated_says_why():
    with pytest.raises(ValueError, match="shards is 0"):
        sisa_model(_linear(), 0)
    with pytest.raises(ValueError, match="aggregation is 'median'; expected one of mean, vote"):
        sisa_model(_linear(), 3, "median")
    with pytest.raises(ValueError, match=r"stacked \{3\} times; expected 4"):
        sisa_model(_linear(), 4).apply(sisa_variables(BY_HAND), ONES, None)
    with pytest.raises(ValueError, match="trained apart"):
        sisa_model(_linear(), 3).apply(sisa_variables(BY_HAND), ONES, jax.random.key(0))


def _simulated(settings, requests, trials=1500):
    """Mean work share of random requests, and its standard error."""
    rng = np.random.default_rng(0)
    count = 40 * settings.shards * settings.slices
    shares = []
    for trial in range(trials):
        place = assign(jax.random.key(trial % 20), count, settings)
        first = first_touched(place, rng.integers(0, count, requests), settings)
        shares.append(redone(place, first, settings).work_share)
    return np.mean(shares), np.std(shares) / np.sqrt(trials)


@pytest.mark.parametrize(("shards", "slices", "requests"), [(1, 4, 1), (4, 1, 3), (5, 4, 2), (3, 5, 12)])
def test_the_expected_cost_is_that_of_a_simulation(shards, slices, requests):
    mean, error = _simulated(SisaSettings(shards, slices, epochs=1, batch_size=1), requests)
    expected = expected_work_share(shards, slices, requests)
    assert abs(mean - expected) < 4 * error
    if slices > 1:  # the simulation tells the law from one that takes all slice trainings for equally long
        i = np.arange(1, slices + 1)
        assert abs(mean - np.mean(1 - (1 - i / (shards * slices)) ** requests)) > 4 * error


def test_the_known_limits_of_the_expected_cost():
    assert expected_work_share(1, 1, 1) == 1.0
    assert expected_work_share(5, 4, 0) == 0.0
    assert expected_work_share(5, 1, 1) == pytest.approx(1 / 5)
    assert expected_work_share(5, 1, 3) == pytest.approx(1 - 0.8**3)
    for slices in (1, 2, 10):
        assert expected_work_share(4, slices, 1) == pytest.approx((2 / 3 + 1 / (3 * slices)) / 4)
    assert expected_work_share(5, 4, 1000) == pytest.approx(1)


def test_a_cost_by_hand():
    # shard 0: slices of 3 and 3; shard 1: 2 and 4; batches of 2, so 2 + 6 and 2 + 6 images an epoch
    place = Assignment(np.repeat([0, 0, 1, 1], [3, 3, 2, 4]), np.repeat([0, 1, 0, 1], [3, 3, 2, 4]))
    settings = SisaSettings(2, 2, epochs=10, batch_size=2)
    first = first_touched(place, np.array([9, 4, 1]), settings)
    np.testing.assert_array_equal(first, [0, 1])
    assert redone(place, first, settings) == Redone(3, 140, 160)
    assert redone(place, first, settings).work_share == 140 / 160
    np.testing.assert_array_equal(first_touched(place, np.array([6]), settings), [2, 0])


@pytest.mark.parametrize("arguments", [(0, 1, 1), (1, 0, 1), (1, 1, -1)])
def test_a_cost_of_nothing_is_refused(arguments):
    with pytest.raises(ValueError, match="expected at least 1, 1 and 0"):
        expected_work_share(*arguments)
