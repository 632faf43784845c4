"""First-order unlearning against a loop over the samples, a closed form, and the limits it must respect."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.models import predict_fn
from overunlearn_jax.types import Split, Variables
from overunlearn_jax.unlearn import FIDELITIES, REPLACEMENTS, first_order, replacement_images, sweep_tau
from tests.unlearn.small_model import (
    BOUNDS,
    CLASSES,
    IMAGE_SHAPE,
    assert_same_tree,
    cross_entropy,
    request,
    small_model,
    softmax_regression,
)

KEY = jax.random.key(7)


def _difference_by_a_loop(model, variables, images, labels, others, replaced):
    """Sum over i of grad l(others_i) where replaced_i, minus grad l(images_i): one sample at a time."""
    total = jax.tree.map(jnp.zeros_like, variables.params)

    @jax.jit
    def gradient(image, label):
        def loss(params):
            return cross_entropy(model, Variables(params, variables.state), image[None], label[None])[0]

        return jax.grad(loss)(variables.params)

    for image, label, other, replace in zip(images, labels, others, replaced, strict=True):
        total = jax.tree.map(jnp.subtract, total, gradient(image, label))
        if replace:
            total = jax.tree.map(jnp.add, total, gradient(other, label))
    return total


def _expected(tau, model, variables, images, labels, others, replaced):
    difference = _difference_by_a_loop(model, variables, images, labels, others, replaced)
    return jax.tree.map(lambda leaf, change: leaf - tau * change, variables.params, difference)


def _moved(unlearned, variables):
    return jax.tree.map(jnp.subtract, unlearned.params, variables.params)


@pytest.mark.parametrize("replacement", REPLACEMENTS)
def test_one_step_is_that_of_a_loop_over_the_samples(replacement):
    model = small_model(dropout=0.5)
    variables = model.init(jax.random.key(0))
    images, labels = request(1, 7)
    unlearn = first_order(0.1, bounds=BOUNDS, replacement=replacement, scope="all")
    unlearned = unlearn(model, variables, images, labels, KEY)
    others = images if replacement == "none" else replacement_images(replacement, KEY, images, BOUNDS)
    replaced = [replacement != "none"] * 7
    assert_same_tree(unlearned.params, _expected(0.1, model, variables, images, labels, others, replaced), atol=1e-5)
    assert_same_tree(unlearned.state, variables.state)


@pytest.mark.parametrize(
    ("count", "replaced"), [(6, [False] * 4 + [True] * 2), (8, [False] * 8), (3, [True] * 3), (9, [False] * 8 + [True])]
)
def test_the_authors_code_replaces_in_the_last_partial_batch_only(count, replaced):
    model = small_model()
    variables = model.init(jax.random.key(0))
    images, labels = request(2, count)
    reading = FIDELITIES["authors_code"]
    unlearn = first_order(
        0.1,
        bounds=BOUNDS,
        replacement=reading.replacement,
        last_partial_batch_only=reading.last_partial_batch_only,
        scope="all",
        batch_size=4,
    )
    unlearned = unlearn(model, variables, images, labels, KEY)
    others = replacement_images("one_noise", KEY, images, BOUNDS)
    assert_same_tree(unlearned.params, _expected(0.1, model, variables, images, labels, others, replaced), atol=1e-5)


def test_softmax_regression_moves_by_its_closed_form_gradient():
    model = softmax_regression()
    variables = model.init(jax.random.key(0))
    images, labels = request(3, 5)
    x = images.reshape(5, -1).astype(np.float64)
    logits = x @ np.asarray(variables.params["kernel"], np.float64)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    ascent = np.asarray(variables.params["kernel"]) + 0.3 * x.T @ (p - np.eye(CLASSES)[labels])
    unlearned = first_order(0.3, bounds=BOUNDS, scope="all")(model, variables, images, labels, KEY)
    np.testing.assert_allclose(unlearned.params["kernel"], ascent, rtol=1e-5, atol=1e-6)


def test_ascent_raises_the_loss_of_the_request():
    model = small_model()
    variables = model.init(jax.random.key(0))
    images, labels = request(4, 12)
    before = cross_entropy(model, variables, images, labels).sum()
    unlearned = first_order(1e-3, bounds=BOUNDS, scope="all")(model, variables, images, labels, KEY)
    assert cross_entropy(model, unlearned, images, labels).sum() > before + 1e-3


def test_a_replacement_lowers_its_own_loss_under_the_label():
    model = small_model()
    variables = model.init(jax.random.key(0))
    images, labels = request(4, 12)
    unlearn = first_order(1e-3, bounds=BOUNDS, replacement="noise", scope="all")
    unlearned = unlearn(model, variables, images, labels, KEY)
    others = replacement_images("noise", KEY, images, BOUNDS)

    def difference(weights):
        return (cross_entropy(model, weights, others, labels) - cross_entropy(model, weights, images, labels)).sum()

    assert difference(unlearned) < difference(variables)


@pytest.mark.parametrize("replacement", REPLACEMENTS)
def test_tau_of_zero_changes_nothing(replacement):
    model = small_model()
    variables = model.init(jax.random.key(0))
    unlearn = first_order(0.0, bounds=BOUNDS, replacement=replacement, scope="all")
    assert_same_tree(unlearn(model, variables, *request(1, 5), KEY), variables)


@pytest.mark.parametrize(("scope", "layer"), [("head", "head_logits"), ("^body", "body")])
def test_only_the_scope_moves(scope, layer):
    model = small_model()
    variables = model.init(jax.random.key(0))
    images, labels = request(1, 5)
    part = first_order(0.1, bounds=BOUNDS, scope=scope)(model, variables, images, labels, KEY)
    whole = first_order(0.1, bounds=BOUNDS, scope="all")(model, variables, images, labels, KEY)
    for name in variables.params:
        if name == layer:
            # the same step that a change of all parameters makes there
            assert_same_tree(part.params[name], whole.params[name], atol=1e-6)
            pairs = zip(jax.tree.leaves(part.params[name]), jax.tree.leaves(variables.params[name]), strict=True)
            assert all(not np.any(np.asarray(new) == np.asarray(old)) for new, old in pairs)
        else:
            assert_same_tree(part.params[name], variables.params[name])
    assert_same_tree(part.state, variables.state)


def test_the_head_is_the_default_scope():
    model = small_model()
    variables = model.init(jax.random.key(0))
    images, labels = request(1, 5)
    default = first_order(0.1, bounds=BOUNDS)(model, variables, images, labels, KEY)
    assert_same_tree(default, first_order(0.1, bounds=BOUNDS, scope="head")(model, variables, images, labels, KEY))


@pytest.mark.parametrize("replacement", ["none", "noise"])
def test_the_batch_size_is_no_setting_of_the_method(replacement):
    model = small_model()
    variables = model.init(jax.random.key(0))
    images, labels = request(5, 11)
    results = [
        first_order(0.1, bounds=BOUNDS, replacement=replacement, scope="all", batch_size=size)(
            model, variables, images, labels, KEY
        ).params
        for size in (256, 11, 4, 1)
    ]
    for other in results[1:]:
        assert_same_tree(other, results[0], atol=1e-6)


def test_a_sample_submitted_twice_moves_the_weights_twice_as_far():
    model = small_model()
    variables = model.init(jax.random.key(0))
    images, labels = request(6, 1)
    unlearn = first_order(0.05, bounds=BOUNDS, scope="all")
    once = _moved(unlearn(model, variables, images, labels, KEY), variables)
    twice = unlearn(model, variables, np.repeat(images, 2, axis=0), np.repeat(labels, 2), KEY)
    assert_same_tree(_moved(twice, variables), jax.tree.map(lambda leaf: 2 * leaf, once), atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"replacement": "noise"}, {"scope": "all"}])
def test_a_sweep_is_a_loop_of_single_steps(settings):
    model = small_model()
    variables = model.init(jax.random.key(0))
    images, labels = request(8, 5)
    taus = np.array([0.0, 0.01, 0.2])
    swept = sweep_tau(taus, model, variables, images, labels, KEY, bounds=BOUNDS, **settings)
    assert_same_tree(swept.state, variables.state)
    for index, tau in enumerate(taus):
        single = first_order(tau, bounds=BOUNDS, **settings)(model, variables, images, labels, KEY)
        at_tau = jax.tree.map(lambda leaf, index=index: leaf[index], swept.params)
        assert_same_tree(at_tau, single.params, atol=1e-6)


def test_a_sweep_traces_the_gradient_once():
    traces = []
    model = small_model(traces=traces)
    variables = model.init(jax.random.key(0))
    images, labels = request(8, 5)
    first_order(0.1, bounds=BOUNDS)(model, variables, images, labels, KEY)
    of_one_step = len(traces)
    first_order(0.2, bounds=BOUNDS)(model, variables, images, labels, KEY)
    sweep_tau(np.arange(6) * 0.1, model, variables, images, labels, KEY, bounds=BOUNDS)
    assert len(traces) == of_one_step > 0
    fresh = []
    sweep_tau(np.arange(6) * 0.1, small_model(traces=fresh), variables, images, labels, KEY, bounds=BOUNDS)
    assert len(fresh) == of_one_step


def test_an_empty_request_is_refused():
    model = small_model()
    empty = np.zeros((0, *IMAGE_SHAPE), np.float32), np.zeros(0, np.int32)
    with pytest.raises(ValueError, match="request is empty"):
        first_order(0.1, bounds=BOUNDS)(model, model.init(jax.random.key(0)), *empty, KEY)


def test_an_unknown_replacement_is_refused():
    model = small_model()
    unlearn = first_order(0.1, bounds=BOUNDS, replacement="grey")
    with pytest.raises(ValueError, match="'grey'"):
        unlearn(model, model.init(jax.random.key(0)), *request(1, 2), KEY)


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(ValueError, match="batch_size is 0"):
        first_order(0.1, bounds=BOUNDS, batch_size=0)


@pytest.mark.parametrize("settings", [{}, {"replacement": "noise"}, {"scope": "all", "batch_size": 16}])
def test_padded_requests_of_every_size_share_a_few_programs_and_give_the_same_step(settings):
    images, labels = request(9, 40)
    model = small_model()
    variables = model.init(jax.random.key(0))
    for count in (1, 3, 5, 8, 13, 33, 40):
        given = (model, variables, images[:count], labels[:count], KEY)
        plain = first_order(0.5, bounds=BOUNDS, **settings)(*given)
        assert_same_tree(first_order(0.5, bounds=BOUNDS, pad=True, **settings)(*given), plain, atol=1e-5)
    fresh = []
    model = small_model(traces=fresh)
    for count in (*range(1, 10), 17, 31, 33, 40):
        first_order(0.5, bounds=BOUNDS, pad=True, **settings)(model, variables, images[:count], labels[:count], KEY)
    assert {shape[0] for shape in fresh} == {1, 2, 4, 8, 16} | (set() if "batch_size" in settings else {32, 64})


def test_predictions_and_evaluation_of_any_number_of_images_are_one_program():
    traces = []
    model = small_model(traces=traces)
    images, labels = request(10, 200)
    predict = predict_fn(model, model.init(jax.random.key(0)))
    for count in range(1, 201, 13):
        assert predict_in_batches(predict, images[:count]).shape == (count, CLASSES)
        evaluate(predict, Split(images[:count], labels[:count], np.arange(count)), CLASSES)
    assert len(traces) == 1
