"""Relearn time against SGD in NumPy, at its limits, and where a model remembers."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.forgetting import mean_loss, relearn_steps
from overunlearn_jax.models import Model, pure_model
from overunlearn_jax.types import Variables
from tests.unlearn.small_model import CLASSES, IMAGE_SHAPE, cross_entropy, request, small_model, softmax_regression

KEY = jax.random.key(4)
SETTINGS = {"target_loss": 0.9, "learning_rate": 0.5, "batch_size": 24, "most": 200}


def _losses_before_each_step(variables, images, labels, rate, batches):
    """The loss on all samples before each batch (and after the last) of SGD on softmax regression, in float64."""
    x = images.reshape(len(images), -1).astype(np.float64)
    kernel = np.asarray(variables.params["kernel"], np.float64)
    losses = []
    for rows in [*batches, None]:
        logits = x @ kernel
        p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        losses.append(-np.log(p[np.arange(len(x)), labels]).mean())
        if rows is not None:
            kernel -= rate * x[rows].T @ (p - np.eye(CLASSES)[labels])[rows] / len(rows)
    return np.array(losses)


def test_mean_loss_is_that_of_every_sample():
    model = small_model()
    variables = model.init(jax.random.key(0))
    images, labels = request(0, 300)  # more than one batch
    expected = np.asarray(cross_entropy(model, variables, images, labels)).mean(dtype=np.float64)
    assert mean_loss(model, variables, images, labels) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("target_loss", [1.5, 1.3, 1.1, 0.9])
def test_steps_are_those_of_gradient_descent(target_loss):
    model = softmax_regression()
    variables = model.init(jax.random.key(0))
    images, labels = request(1, 24)
    losses = _losses_before_each_step(variables, images, labels, 0.5, [np.arange(24)] * 200)
    expected = int(np.argmax(losses <= target_loss))
    assert losses[expected - 1] - target_loss > 1e-5  # no rounding decides
    assert 0 < expected < 200
    settings = {**SETTINGS, "target_loss": target_loss}
    assert relearn_steps(model, variables, images, labels, KEY, **settings) == expected
    assert relearn_steps(model, variables, images, labels, KEY, **{**settings, "most": expected}) == expected
    assert relearn_steps(model, variables, images, labels, KEY, **{**settings, "most": expected - 1}) is None
    # a batch as large as the set is the whole set
    assert relearn_steps(model, variables, images, labels, KEY, **{**settings, "batch_size": 1000}) == expected


def test_a_model_that_knows_needs_no_step():
    model = softmax_regression()
    variables = model.init(jax.random.key(0))
    images, labels = request(1, 24)
    known = mean_loss(model, variables, images, labels)
    settings = {**SETTINGS, "most": 0}
    assert relearn_steps(model, variables, images, labels, KEY, **{**settings, "target_loss": known}) == 0
    assert relearn_steps(model, variables, images, labels, KEY, **{**settings, "target_loss": known - 1e-3}) is None


def test_every_sample_of_an_epoch_is_used_once():
    # sample i lights pixel i only, so one step on it moves row i of the weights, and its loss alone
    model = softmax_regression()
    variables = Variables({"kernel": jnp.zeros((9, CLASSES))})
    images = np.eye(9, dtype=np.float32)[:6].reshape(6, *IMAGE_SHAPE)
    labels = np.arange(6, dtype=np.int32) % CLASSES
    after_one = np.log(np.exp(3.0 * 3 / 4) + 3 * np.exp(-3.0 / 4)) - 3.0 * 3 / 4
    done = [(count * after_one + (6 - count) * np.log(4)) / 6 for count in range(7)]
    for count in range(1, 7):
        settings = {"target_loss": done[count] + 1e-5, "learning_rate": 3.0, "batch_size": 1, "most": 6}
        assert relearn_steps(model, variables, images, labels, KEY, **settings) == count


def test_batches_are_a_new_shuffle_of_each_epoch_without_its_rest():
    model = softmax_regression()
    variables = model.init(jax.random.key(0))
    images, labels = request(2, 40)
    settings = {**SETTINGS, "learning_rate": 4.0, "batch_size": 3}  # leaps: each batch shows in the loss
    counts = []
    for key in jax.random.split(KEY, 3):
        shuffles = [np.asarray(jax.random.permutation(jax.random.fold_in(key, epoch), 40)) for epoch in range(10)]
        batches = [order[3 * batch : 3 * batch + 3] for order in shuffles for batch in range(13)]
        losses = _losses_before_each_step(variables, images, labels, 4.0, batches)
        lows = np.flatnonzero(losses[1:] < np.minimum.accumulate(losses)[:-1] - 1e-5) + 1  # a new low at these steps
        for step in lows[[5, -1]]:
            target_loss = (losses[step] + losses[:step].min()) / 2
            counts.append(
                relearn_steps(model, variables, images, labels, key, **{**settings, "target_loss": target_loss})
            )
            assert counts[-1] == step
    assert max(counts) > 39  # of the fourth epoch
    assert len(set(counts)) > 3  # the key decides


def test_dropout_and_statistics_are_left_alone():
    model = small_model(dropout=0.5)

    def predict_only(variables, images, key):
        assert key is None
        return model.apply(variables, images, None)

    strict = Model(model.init, predict_only)
    variables = strict.init(jax.random.key(0))
    before = jax.tree.map(np.array, variables)
    images, labels = request(3, 24)
    settings = {**SETTINGS, "learning_rate": 0.1}
    assert relearn_steps(strict, variables, images, labels, KEY, **settings) > 0
    chex.assert_trees_all_equal(variables, before)


def test_nothing_is_traced_in_the_loop_nor_for_another_model():
    traces = []
    model = small_model(traces=traces)
    variables = model.init(jax.random.key(0))
    images, labels = request(4, 24)
    settings = {**SETTINGS, "target_loss": 1e-3, "batch_size": 5}
    relearn_steps(model, variables, images, labels, KEY, **{**settings, "most": 1})
    of_one_step = len(traces)
    other = variables._replace(params=jax.tree.map(lambda leaf: 0.9 * leaf, variables.params))
    relearn_steps(model, variables, images, labels, KEY, **{**settings, "most": 12})
    relearn_steps(model, other, images, labels, KEY, **{**settings, "learning_rate": 0.2, "most": 12})
    assert len(traces) == of_one_step > 0


def _network():
    """A hidden layer that is trained, too."""

    def init(key):
        first, second = jax.random.split(key)
        return {"body": jax.random.normal(first, (9, 64)) / 3, "head": jax.random.normal(second, (64, CLASSES)) / 8}

    return pure_model(init, lambda params, x: jnp.tanh(x.reshape(len(x), -1) @ params["body"] * 3) @ params["head"])


def test_a_model_that_remembers_comes_back_faster_than_one_that_never_saw():
    model = _network()
    images, labels = request(5, 120)  # random labels: nothing to learn but by heart
    forget, retain = slice(0, 40), slice(40, 120)

    @jax.jit
    def descend(variables, images, labels, rate):
        def loss(params):
            logits, _ = model.apply(Variables(params), images, None)
            return -jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels].mean()

        return Variables(jax.tree.map(lambda p, g: p - rate * g, variables.params, jax.grad(loss)(variables.params)))

    def trained(rows, steps, variables, rate=0.5):
        for _ in range(steps):
            variables = descend(variables, images[rows], labels[rows], rate)
        return variables

    start = model.init(jax.random.key(1))
    original = trained(slice(0, 120), 600, start)
    retrained = trained(retain, 600, start)
    hidden = original  # gradient ascent until the forget set is as badly predicted as by the retrained model
    while mean_loss(model, hidden, images[forget], labels[forget]) < mean_loss(
        model, retrained, images[forget], labels[forget]
    ):
        hidden = trained(forget, 1, hidden, rate=-0.05)
    settings = {
        "target_loss": mean_loss(model, original, images[forget], labels[forget]) + 0.1,
        "learning_rate": 0.1,
        "batch_size": 20,
        "most": 3000,
    }
    of_original, of_hidden, of_retrained = (
        relearn_steps(model, variables, images[forget], labels[forget], KEY, **settings)
        for variables in (original, hidden, retrained)
    )
    print(f"relearn steps: original {of_original}, hidden {of_hidden}, retrained {of_retrained}")
    assert of_original == 0
    assert 0 < of_hidden < of_retrained / 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_loss": 0.0}, "target_loss is 0.0"),
        ({"target_loss": np.nan}, "target_loss is nan"),
        ({"learning_rate": -1.0}, "learning_rate -1.0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"most": -1}, "most is -1"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    model = softmax_regression()
    with pytest.raises(ValueError, match=message):
        relearn_steps(model, model.init(jax.random.key(0)), *request(1, 4), KEY, **{**SETTINGS, **change})


def test_samples_that_do_not_fit_are_refused():
    model = softmax_regression()
    variables = model.init(jax.random.key(0))
    images, labels = request(1, 4)
    with pytest.raises(ValueError, match="no images"):
        mean_loss(model, variables, images[:0], labels[:0])
    with pytest.raises(ValueError, match=r"expected 0 \.\.\. 3"):
        mean_loss(model, variables, images, labels + CLASSES)
    with pytest.raises(ValueError, match="expected 4 integers"):
        relearn_steps(model, variables, images, labels[:3], KEY, **SETTINGS)


def test_a_loss_that_is_no_number_says_whose_fault_it_is():
    model = softmax_regression()
    variables = model.init(jax.random.key(0))
    images, labels = request(1, 24)
    broken = jax.tree.map(lambda leaf: leaf * jnp.nan, variables)
    with pytest.raises(ValueError, match=r"before the first step: its weights or the images"):
        relearn_steps(model, broken, images, labels, KEY, **SETTINGS)
    deep = pure_model(lambda key: jnp.ones((2, 9, 9)), lambda params, x: x.reshape(len(x), -1) @ params[0] @ params[1])
    with pytest.raises(ValueError, match=r"after [12] steps with learning rate 1e\+30; take a smaller one"):
        relearn_steps(deep, deep.init(KEY), images, labels, KEY, **{**SETTINGS, "learning_rate": 1e30})
