"""What every unlearning method shares: what it needs, what it leaves alone, what it changes, and its limit cases."""

import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax import unlearn
from overunlearn_jax.models import pure_model
from overunlearn_jax.types import DivergedError, Split
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


def test_every_method_of_the_package_is_here():
    assert {*METHODS, "retrain"} == set(unlearn.METHODS)  # retrain starts from scratch: tests/unlearn/test_exact.py
    for name, method in unlearn.METHODS.items():
        assert getattr(unlearn, name) is method.make


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
        (lambda images, labels: (images, np.eye(CLASSES)[labels]), r"the request's labels .*labels\.argmax\(1\)"),
        (lambda images, labels: ((images + 0.5).astype(np.uint8), labels), r"the request's images .*uint8.* x / 255"),
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


@pytest.mark.parametrize("name", [*WITH_RETAINED, "retain_tuning"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.full_like(RETAIN.images, np.nan)}, "the retained images hold NaN"),
        ({"images": np.zeros(RETAIN.images.shape, np.uint8)}, "the retained images have dtype uint8"),
        ({"labels": RETAIN.labels + CLASSES}, rf"the retained labels lie in .* expected 0 \.\.\. {CLASSES - 1}"),
        ({"labels": RETAIN.labels[:-1]}, "the retained labels are int32 of shape"),
    ],
)
def test_retained_data_that_cannot_be_trained_on_say_why(name, change, message):
    with pytest.raises(ValueError, match=message):
        METHODS[name]()(MODEL, VARIABLES, *request(0, 4), KEY, RETAIN._replace(**change))


@pytest.mark.parametrize("name", FORGETTING)
def test_a_gradient_that_is_not_finite_is_told_although_every_answer_is(name):
    def logits(params, images):
        told = images.reshape(len(images), -1) @ params["head_logits"]
        return told + jnp.sqrt((told**2).sum(-1, keepdims=True))  # has no slope at a black image

    model = pure_model(lambda key: {"head_logits": jax.random.normal(key, (9, CLASSES))}, logits)
    images, labels = request(0, 4)
    images[0] = 0
    with pytest.raises(DivergedError):
        METHODS[name]()(model, model.init(KEY), images, labels, KEY, RETAIN)


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


@pytest.mark.parametrize("name", METHODS)
def test_nothing_outside_the_scope_moves(name):
    images, labels = request(1, 20)
    after = METHODS[name](scope="head")(MODEL, VARIABLES, images, labels, KEY, RETAIN)
    assert_same_tree(after.params["body"], VARIABLES.params["body"])
    if name != "fine_tuning":  # whose batch statistics follow the samples
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
        ("selective_dampening", {"selection": 1.0, "most_shrunk": 0.0}),
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
        ("gradient_ascent", {"bound": float("nan")}, "bound is nan"),
        ("influence", {"solver": "newton"}, "solver is 'newton'"),
    ],
)
def test_settings_out_of_range_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        getattr(unlearn, name)(**settings)


NO_RATE = (-0.01, float("nan"), float("inf"))
NO_FACTOR = (0.0, *NO_RATE)
DESCENT = {"learning_rate": NO_RATE, "steps": (-5, 2.5), "batch_size": (0, -4, 2.5)}
OUT_OF_RANGE = {
    "first_order": {"tau": NO_RATE, "batch_size": (0, -4), "clip_each": (-1.0, float("nan"))},
    "fine_tuning": {"learning_rate": NO_RATE, "epochs": (-1,), "batch_size": (0, -4)},
    "gradient_ascent": DESCENT,
    "neg_grad_plus": DESCENT,
    "random_labels": DESCENT,
    "salun": DESCENT,
    "retain_tuning": DESCENT,
    "scrub": {
        "learning_rate": NO_RATE,
        "distillation": NO_RATE,
        "rounds": (-1,),
        "ascents": (-1, 0.5),
        "retain_steps": (-1,),
        "batch_size": (0, -4),
    },
    "selective_dampening": {
        "selection": NO_FACTOR,
        "dampening": NO_FACTOR,
        "retain_samples": (0, -1),
        "most_shrunk": (-0.1, 1.1, float("nan")),
    },
    "influence": {
        "damping": NO_RATE,
        "iterations": (0, -1, 30.0),
        "lissa_scale": NO_FACTOR,
        "most_residual": NO_FACTOR,
        "hessian_samples": (0, -1),
        "batch_size": (0, -4),
    },
}
NEEDED = {"first_order": {"tau": 0.1, "bounds": BOUNDS}, "fine_tuning": {"num_classes": CLASSES}}


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        (name, setting, value)
        for name, of_method in OUT_OF_RANGE.items()
        for setting, values in of_method.items()
        for value in values
    ],
)
def test_a_number_out_of_range_is_refused_when_the_method_is_made(name, setting, value):
    given = NEEDED.get(name, {}) | {setting: value} | ({"ascents": 0} if setting == "rounds" else {})
    with pytest.raises(ValueError, match=f"{name}: {setting} is {value}; expected a (whole|finite) number"):
        getattr(unlearn, name)(**given)


def test_every_number_that_a_method_takes_has_a_range():
    for name, method in unlearn.METHODS.items():
        for setting, parameter in inspect.signature(method.make).parameters.items():
            if isinstance(parameter.default, int | float) and not isinstance(parameter.default, bool):
                assert setting in (*OUT_OF_RANGE.get(name, ()), "weight", "share"), f"{name}: {setting}"


@pytest.mark.parametrize(
    "name", ["fine_tuning", "gradient_ascent", "neg_grad_plus", "random_labels", "salun", "scrub", "retain_tuning"]
)
def test_weights_that_blow_up_are_an_error_that_says_what_to_do(name):
    images, labels = learned(1, 20)
    more = {"fine_tuning": {"num_classes": CLASSES, "epochs": 5}, "gradient_ascent": {"bound": 1e9}}.get(name, {})
    method = getattr(unlearn, name)(learning_rate=3e38, **more)
    with pytest.raises(DivergedError, match=rf"{name} diverged: .* take a smaller learning_rate than 3e\+38"):
        method(MODEL, VARIABLES, images, labels, KEY, RETAIN)


def test_a_step_to_infinity_is_an_error_and_in_a_sweep_leaves_the_others():
    images, labels = learned(1, 20)
    settings = {"bounds": BOUNDS, "scope": "all"}
    with pytest.raises(DivergedError, match=r"first_order diverged: .* take a smaller tau than 3e\+38"):
        unlearn.first_order(3e38, **settings)(MODEL, VARIABLES, images, labels, KEY)
    swept = unlearn.sweep_tau(np.array([1e-3, 3e38]), MODEL, VARIABLES, images, labels, KEY, **settings).params
    alone = unlearn.first_order(1e-3, **settings)(MODEL, VARIABLES, images, labels, KEY).params
    chex.assert_trees_all_close(jax.tree.map(lambda leaf: leaf[0], swept), alone, rtol=1e-5, atol=1e-7)
    assert not all(np.isfinite(leaf[1]).all() for leaf in jax.tree.leaves(swept))
    for tau in (-1e-3, float("nan")):
        with pytest.raises(ValueError, match=f"first_order: tau is {tau}; expected a finite number"):
            unlearn.sweep_tau(np.array([1e-3, tau]), MODEL, VARIABLES, images, labels, KEY, **settings)


@pytest.mark.parametrize("name", METHODS)
def test_a_second_request_of_the_same_size_does_not_compile_again(name):
    traces = []
    model = small_model(traces=traces)
    METHODS[name]()(model, VARIABLES, *request(1, 16), KEY, RETAIN)
    first = len(traces)
    METHODS[name]()(model, VARIABLES, *request(2, 16), jax.random.key(9), split(8, 60))
    assert len(traces) == first
