"""What every unlearning method shares: what it needs, what it leaves alone, what it changes, and its limit cases."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax import unlearn
from overunlearn_jax.types import Split
from overunlearn_jax.unlearn import DivergedError
from tests.unlearn.small_model import BOUNDS, CLASSES, assert_same_tree, cross_entropy, request, small_model

KEY = jax.random.key(5)
REQUEST_ALONE = {
    "first_order": lambda **settings: unlearn.first_order(0.01, bounds=BOUNDS, **settings),
    "fine_tuning": lambda **settings: unlearn.fine_tuning(num_classes=CLASSES, learning_rate=0.3, epochs=5, **settings),
    "gradient_ascent": lambda **settings: unlearn.gradient_ascent(bound=1e9, **settings),
}
WITH_RETAINED = {
    "neg_grad_plus": lambda **settings: unlearn.neg_grad_plus(weight=0.2, **settings),
    "random_labels": unlearn.random_labels,
    "salun": unlearn.salun,
    "scrub": unlearn.scrub,
    "selective_dampening": lambda **settings: unlearn.selective_dampening(selection=1.0, **settings),
    "influence": lambda **settings: unlearn.influence(damping=1.0, **settings),
}
FORGETTING = REQUEST_ALONE | WITH_RETAINED  # those that act on the request itself
METHODS = FORGETTING | {"retain_tuning": unlearn.retain_tuning}


def split(seed: int, count: int) -> Split:
    images, labels = request(seed, count)
    return Split(images, labels, np.arange(count))


RETAIN = split(7, 60)
MODEL = small_model()
VARIABLES = MODEL.init(KEY)


def learned(seed: int, count: int):
    """A request that the model predicts rightly."""
    images, _ = request(seed, count)
    logits, _ = MODEL.apply(VARIABLES, images, None)
    return images, np.asarray(logits.argmax(-1), np.int32)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda images, labels: (images[:0], labels[:0]), "empty"),
        (lambda images, labels: (images, labels - CLASSES), rf"expected 0 \.\.\. {CLASSES - 1}"),
        (lambda images, labels: (images, labels + CLASSES), rf"expected 0 \.\.\. {CLASSES - 1}"),
        (lambda images, labels: (images, labels.astype(float)), "float64"),
        (lambda images, labels: (images, labels[:-1]), "one an image"),
        (lambda images, labels: (np.where(images == images.max(), np.nan, images), labels), "NaN"),
    ],
)
def test_a_request_that_cannot_be_unlearned_says_why(name, spoil, message):
    images, labels = spoil(*request(0, 4))
    with pytest.raises(ValueError, match=message):
        METHODS[name]()(MODEL, VARIABLES, images, labels, KEY, RETAIN)


@pytest.mark.parametrize("name", [*WITH_RETAINED, "retain_tuning"])
@pytest.mark.parametrize("nothing", [None, split(0, 0)])
def test_a_method_that_needs_retained_data_says_so(name, nothing):
    with pytest.raises(ValueError, match=f"{name} needs retained training data, and was given none"):
        METHODS[name]()(MODEL, VARIABLES, *request(0, 4), KEY, nothing)


@pytest.mark.parametrize("name", FORGETTING)
def test_the_submitted_samples_are_less_sure_afterwards(name):
    images, labels = learned(1, 20)
    after = METHODS[name]()(MODEL, VARIABLES, images, labels, KEY, RETAIN)
    before_loss, after_loss = (cross_entropy(MODEL, each, images, labels).mean() for each in (VARIABLES, after))
    assert after_loss > before_loss + 1e-3
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after))


@pytest.mark.parametrize("name", REQUEST_ALONE)
def test_what_needs_the_request_alone_does_not_look_at_retained_data(name):
    images, labels = request(1, 20)
    unlearned = METHODS[name]()
    without = unlearned(MODEL, VARIABLES, images, labels, KEY)
    assert_same_tree(unlearned(MODEL, VARIABLES, images, labels, KEY, RETAIN), without)


@pytest.mark.parametrize("name", [name for name in METHODS if "scope" in inspect.signature(METHODS[name]).parameters])
def test_nothing_outside_the_scope_moves(name):
    images, labels = learned(1, 20)
    after = METHODS[name](scope="head")(MODEL, VARIABLES, images, labels, KEY, RETAIN)
    assert_same_tree(after.params["body"], VARIABLES.params["body"])
    assert_same_tree(after.state, VARIABLES.state)
    assert not np.array_equal(after.params["head_logits"]["kernel"], VARIABLES.params["head_logits"]["kernel"])


@pytest.mark.parametrize("name", METHODS)
def test_the_same_key_gives_the_same_bits_and_the_given_weights_stay(name):
    kept = jax.tree.map(np.array, VARIABLES)
    images, labels = request(2, 10)
    first, second = (METHODS[name]()(MODEL, VARIABLES, images, labels, KEY, RETAIN) for _ in range(2))
    assert_same_tree(first, second)
    assert_same_tree(VARIABLES, jax.tree.map(jnp.asarray, kept))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("gradient_ascent", {"learning_rate": 0.0}),
        ("gradient_ascent", {"steps": 0}),
        ("gradient_ascent", {"bound": 0.0}),
        ("salun", {"share": 0.0}),
        ("scrub", {"rounds": 0, "ascents": 0}),
        ("selective_dampening", {"selection": 1e9}),
        ("retain_tuning", {"steps": 0}),
        ("random_labels", {"steps": 0}),
        ("neg_grad_plus", {"steps": 0}),
    ],
)
def test_a_setting_at_its_limit_changes_nothing(name, settings):
    method = getattr(unlearn, name)(**settings)
    assert_same_tree(method(MODEL, VARIABLES, *request(3, 12), KEY, RETAIN), VARIABLES)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("gradient_ascent", {"bound": -1.0}, "bound is -1.0"),
        ("neg_grad_plus", {"weight": 1.5}, "weight is 1.5"),
        ("salun", {"share": 2.0}, "share is 2.0"),
        ("scrub", {"rounds": 2, "ascents": 2}, "ascents is 2; expected 0 or more, and fewer than the 2 rounds"),
        ("selective_dampening", {"selection": 0.0}, "expected positive numbers"),
        ("influence", {"solver": "newton"}, "solver is 'newton'"),
        ("influence", {"damping": -1.0}, "damping is -1.0"),
    ],
)
def test_settings_out_of_range_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        getattr(unlearn, name)(**settings)


@pytest.mark.parametrize(
    "name", ["gradient_ascent", "neg_grad_plus", "random_labels", "salun", "scrub", "retain_tuning"]
)
def test_weights_that_blow_up_are_an_error_that_says_what_to_do(name):
    images, labels = learned(1, 20)
    method = getattr(unlearn, name)(learning_rate=float("inf"))
    with pytest.raises(DivergedError, match=f"{name} diverged: .* take a smaller learning_rate than inf"):
        method(MODEL, VARIABLES, images, labels, KEY, RETAIN)


@pytest.mark.parametrize("name", METHODS)
def test_a_second_request_of_the_same_size_does_not_compile_again(name):
    traces = []
    model = small_model(traces=traces)
    METHODS[name]()(model, VARIABLES, *request(1, 16), KEY, RETAIN)
    first = len(traces)
    METHODS[name]()(model, VARIABLES, *request(2, 16), jax.random.key(9), split(8, 60))
    assert len(traces) == first
