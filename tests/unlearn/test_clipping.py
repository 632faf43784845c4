"""Bounds inside a method: per-sample clipping and a transformation in front, a cap on weights; slow references."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from overunlearn_jax import unlearn
from overunlearn_jax.types import DivergedError, Split, Variables
from overunlearn_jax.unlearn import first_order, sample_gradient_norms, sample_gradients, selective_dampening, sweep_tau
from overunlearn_jax.unlearn.dampening import importance, most_important
from overunlearn_jax.unlearn.descent import Batch
from tests.unlearn.small_model import BOUNDS, assert_same_tree, request, small_model, softmax_regression

KEY = jax.random.key(3)
MODEL = softmax_regression()
VARIABLES = MODEL.init(KEY)


def _gradients_by_hand(images, labels):
    """x^T (p - y) of each sample, shape=(n, 9, 4), float64."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    logits = flat @ np.asarray(VARIABLES.params["kernel"], np.float64)
    answers = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return flat[:, :, None] * (answers - np.eye(4)[labels])[:, None, :]


@pytest.mark.parametrize("count", [1, 5, 16, 21])
@pytest.mark.parametrize("norm", [0.0, 0.3, 0.7, 100.0])
def test_each_sample_is_clipped_as_a_loop_clips_it(count, norm, monkeypatch):
    monkeypatch.setattr(sample_gradients, "MOST", 8)  # several chunks, the last one not full
    images, labels = request(1, count)
    after = first_order(0.1, bounds=BOUNDS, scope="all", clip_each=norm)(MODEL, VARIABLES, images, labels, KEY)
    total = np.zeros((9, 4))
    for gradient in _gradients_by_hand(images, labels):
        total += gradient * min(1.0, norm / np.linalg.norm(gradient))
    expected = np.asarray(VARIABLES.params["kernel"]) + 0.1 * total
    np.testing.assert_allclose(after.params["kernel"], expected, atol=1e-6)


def test_a_replacement_is_clipped_with_the_sample_that_it_replaces():
    images, labels = request(1, 6)
    settings = {"bounds": BOUNDS, "scope": "all", "replacement": "black"}
    after = first_order(0.1, **settings, clip_each=0.4)(MODEL, VARIABLES, images, labels, KEY)
    black = np.full_like(images, BOUNDS.lower)
    difference = _gradients_by_hand(black, labels) - _gradients_by_hand(images, labels)
    lengths = np.linalg.norm(difference, axis=(1, 2))
    expected = (difference * np.minimum(1, 0.4 / lengths)[:, None, None]).sum(0)
    np.testing.assert_allclose(after.params["kernel"], VARIABLES.params["kernel"] - 0.1 * expected, atol=1e-6)


def test_no_sample_moves_the_model_further_than_its_bound():
    images, labels = request(1, 7)
    after = first_order(0.1, bounds=BOUNDS, scope="all", clip_each=0.2)(MODEL, VARIABLES, images, labels, KEY)
    assert unlearn.step_length(VARIABLES, after) <= 7 * 0.1 * 0.2 * (1 + 1e-5)


@pytest.mark.parametrize("settings", [{"clip_each": np.inf}, {"clip": optax.identity()}, {"clip": None}])
@pytest.mark.parametrize("replacement", ["none", "noise"])
def test_a_bound_at_infinity_is_the_method_itself_bit_for_bit(settings, replacement):
    images, labels = request(1, 20)
    bare = first_order(0.1, bounds=BOUNDS, scope="all", replacement=replacement)
    bound = first_order(0.1, bounds=BOUNDS, scope="all", replacement=replacement, **settings)
    assert_same_tree(bound(MODEL, VARIABLES, images, labels, KEY), bare(MODEL, VARIABLES, images, labels, KEY))


def test_a_transformation_in_front_bounds_the_step_and_keeps_its_direction():
    images, labels = request(1, 20)
    bare, bound = (
        first_order(0.1, bounds=BOUNDS, scope="all", clip=clip)(MODEL, VARIABLES, images, labels, KEY)
        for clip in (None, optax.clip_by_global_norm(1.0))
    )
    assert unlearn.step_length(VARIABLES, bare) > 0.11
    assert unlearn.step_length(VARIABLES, bound) == pytest.approx(0.1, rel=1e-4)
    assert unlearn.step_cosine(VARIABLES, bare, bound) == pytest.approx(1)


@pytest.mark.parametrize("settings", [{"clip": optax.clip_by_global_norm(1.0)}, {"clip_each": 0.3}])
def test_a_sweep_of_rates_is_bounded_as_each_rate_alone(settings):
    images, labels = request(1, 20)
    shared = {"bounds": BOUNDS, "scope": "all", **settings}
    swept = sweep_tau(np.array([0.1, 0.3]), MODEL, VARIABLES, images, labels, KEY, **shared).params["kernel"]
    for index, tau in enumerate((0.1, 0.3)):
        alone = first_order(tau, **shared)(MODEL, VARIABLES, images, labels, KEY).params["kernel"]
        np.testing.assert_allclose(swept[index], alone, rtol=1e-6, atol=1e-7)


def test_clipped_requests_of_any_size_share_a_few_compiled_programs():
    traces = []
    model = small_model(traces=traces)
    variables, method = model.init(KEY), first_order(0.1, bounds=BOUNDS, scope="all", clip_each=0.3)
    method(model, variables, *request(1, 300), KEY)
    first = len(traces)
    for count in (257, 129, 600):
        method(model, variables, *request(2, count), KEY)
    assert len(traces) <= first + 3  # the check of the logits' shape is of one image


def test_the_norms_of_the_gradients_are_those_by_hand():
    images, labels = request(4, 11)
    found = sample_gradient_norms(MODEL, VARIABLES, images, labels, scope="all")
    np.testing.assert_allclose(found, np.linalg.norm(_gradients_by_hand(images, labels), axis=(1, 2)), rtol=1e-5)


def test_clipping_does_not_hide_a_gradient_that_is_not_finite():
    images, labels = request(1, 4)
    broken = Variables({"kernel": VARIABLES.params["kernel"].at[0, 0].set(np.nan)})
    with pytest.raises(DivergedError):
        first_order(0.1, bounds=BOUNDS, scope="all", clip_each=0.3)(MODEL, broken, images, labels, KEY)


SMALL = small_model()
WEIGHTS = SMALL.init(KEY)
RETAIN = Split(*request(7, 60), np.arange(60))


def _dampened(**settings):
    images, labels = request(1, 20)
    return selective_dampening(selection=1.0, **settings)(SMALL, WEIGHTS, images, labels, KEY, RETAIN)


def _shrunk(after):
    changed = jax.tree.map(lambda old, new: np.asarray(old) != np.asarray(new), WEIGHTS.params, after.params)
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(changed)])


def test_a_cap_of_one_is_the_method_itself_and_a_cap_of_nothing_changes_nothing():
    assert _shrunk(_dampened()).mean() > 0.1
    assert_same_tree(_dampened(most_shrunk=1.0), _dampened())
    assert_same_tree(_dampened(most_shrunk=0.999), _dampened())  # fewer than that are selected
    assert_same_tree(_dampened(most_shrunk=0.0), WEIGHTS)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_the_cap_keeps_the_weights_that_matter_most(share):
    whole, capped = _shrunk(_dampened()), _shrunk(_dampened(most_shrunk=share))
    assert capped.sum() == int(share * capped.size) < whole.sum()
    assert not (capped & ~whole).any()
    images, labels = request(1, 20)
    to_request = importance(SMALL, WEIGHTS, Batch(images, labels))
    # all 60 retained samples are drawn, in any order
    to_retained = importance(SMALL, WEIGHTS, Batch(RETAIN.images, RETAIN.labels))
    ratio = np.concatenate(
        [
            np.ravel(np.asarray(one) / np.asarray(other))
            for one, other in zip(*map(jax.tree.leaves, (to_request, to_retained)), strict=True)
        ]
    )
    assert ratio[capped].min() >= ratio[whole & ~capped].max() * (1 - 1e-3)


def test_ties_of_the_ratio_go_to_the_larger_importance():
    chosen = {"w": jnp.array([True, True, True, False])}
    kept = most_important(chosen, {"w": jnp.array([1.0, 3.0, 2.0, 9.0])}, {"w": jnp.array([0.0, 0.0, 1.0, 0.0])}, 0.25)
    assert kept["w"].tolist() == [False, True, False, False]
