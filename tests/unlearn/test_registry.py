"""Methods by name: settings as text, a user's own function, and what goes wrong with either."""

import inspect
import sys
import traceback
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import config
from overunlearn_jax import unlearn
from overunlearn_jax.training import TrainSettings
from overunlearn_jax.types import DatasetSpec, DivergedError, Request, Split, Variables
from overunlearn_jax.unlearn import METHODS, Resources, build, read_settings, user_method
from overunlearn_jax.user_code import UserCodeError
from tests.unlearn.small_model import BOUNDS, IMAGE_SHAPE, assert_same_tree, request, small_model

KEY = jax.random.key(5)
SPEC = DatasetSpec("made up", IMAGE_SHAPE, BOUNDS, tuple("abcd"))
RETAIN = Split(*request(7, 60), np.arange(60))
RESOURCES = Resources(SPEC, Split(*request(8, 20), np.arange(20)), TrainSettings(batch_size=20, epochs=2))
MODEL = small_model()
VARIABLES = MODEL.init(KEY)


def test_the_command_line_knows_the_same_methods():
    assert (*METHODS, "sisa") == config.METHODS  # sisa trains a victim of its own


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_built_with_its_defaults_and_needs_what_it_says(name):
    settings = {"first_order": {"tau": "0.1"}, "selective_dampening": {"selection": "1"}}.get(name, {})
    method = build(name, RESOURCES, settings)
    after = method(MODEL, VARIABLES, *request(1, 16), KEY, RETAIN)
    assert jax.tree.structure(after) == jax.tree.structure(VARIABLES)
    assert any(not np.array_equal(*pair) for pair in zip(*map(jax.tree.leaves, (after, VARIABLES)), strict=True))
    if METHODS[name].needs_retained:
        with pytest.raises(ValueError, match="needs retained training data"):
            method(MODEL, VARIABLES, *request(1, 16), KEY)
    else:
        assert_same_tree(method(MODEL, VARIABLES, *request(1, 16), KEY), after)
    assert len(METHODS[name].about) > 20
    assert METHODS[name].make.__doc__


def test_settings_reach_the_method():
    built = build("neg_grad_plus", RESOURCES, {"steps": "3", "weight": "0.5", "scope": "head", "batch_size": "8"})
    direct = unlearn.neg_grad_plus(steps=3, weight=0.5, scope="head", batch_size=8)
    arguments = (MODEL, VARIABLES, *request(1, 16), KEY, RETAIN)
    assert_same_tree(built(*arguments), direct(*arguments))
    optional = build("gradient_ascent", RESOURCES, {"bound": "0.5"})
    assert_same_tree(optional(*arguments), unlearn.gradient_ascent(bound=0.5)(*arguments))
    assert inspect.signature(unlearn.gradient_ascent).parameters["bound"].default is None


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("forget", {}, "unlearning is 'forget'; expected my_module:my_function or one of first_order"),
        ("salun", {"shares": "0.5"}, "salun has no setting shares; expected some of share, learning_rate, steps"),
        ("salun", {"steps": "0.5"}, "salun cannot read steps=0.5: expected int, as in 100"),
        ("first_order", {"scope": "all"}, "first_order needs the setting tau, which has no default: give tau=NUMBER"),
        ("retrain", {"directory": "x"}, "retrain has no setting directory"),
        ("json:loads", {"steps": "1"}, "json:loads takes no settings from here"),
    ],
)
def test_wrong_names_and_settings(name, settings, message):
    with pytest.raises(ValueError, match=message):
        build(name, RESOURCES, settings)


@pytest.mark.parametrize("text", ["steps", "steps=", "=3", "steps=1,steps=2"])
def test_text_that_is_no_settings(text):
    with pytest.raises(ValueError, match="expected name=value"):
        read_settings(text)


def theirs(monkeypatch, function):
    module = types.ModuleType("their_service")
    module.forget = function
    monkeypatch.setitem(sys.modules, "their_service", module)
    return user_method("their_service:forget")


def test_a_user_s_function_gets_what_it_needs(monkeypatch):
    given = {}

    def forget(params, request, key, retain=None):
        given.update(params=params, request=request, key=key, retain=retain)
        return params._replace(params=jax.tree.map(lambda leaf: leaf + 1, params.params))

    images, labels = request(1, 5)
    after = theirs(monkeypatch, forget)(MODEL, VARIABLES, images, labels, KEY, RETAIN)
    assert_same_tree(after.params, jax.tree.map(lambda leaf: leaf + 1, VARIABLES.params))
    assert isinstance(given["request"], Request)
    assert_same_tree(tuple(given["request"]), (images, labels))
    assert_same_tree(tuple(given["retain"]), tuple(RETAIN))
    assert given["key"] is KEY


def test_a_user_s_function_may_work_in_place_and_the_next_request_does_not_see_it(monkeypatch):
    def forget(params, request, key, retain=None):
        params.params["body"]["kernel"] = params.params["body"]["kernel"] + 1
        head = params.params["head_logits"]["bias"]
        head += 1
        request.images[:] = 0
        return params

    before = jax.tree.map(np.array, VARIABLES)  # arrays of numpy, as of a model that was trained elsewhere
    kept = jax.tree.map(np.copy, before)
    images, labels = request(1, 5)
    submitted = images.copy()
    method = theirs(monkeypatch, forget)
    first = method(MODEL, before, images, labels, KEY, RETAIN)
    assert_same_tree(method(MODEL, before, images, labels, KEY, RETAIN), first)
    assert_same_tree(before, kept)
    np.testing.assert_array_equal(images, submitted)
    np.testing.assert_array_equal(first.params["head_logits"]["bias"], kept.params["head_logits"]["bias"] + 1)


def test_a_user_s_function_cannot_change_the_training_data(monkeypatch):
    def forget(params, request, key, retain=None):
        retain.images[:] = 0
        return params

    with pytest.raises(UserCodeError, match=r"forget raised ValueError: .*read-only"):
        theirs(monkeypatch, forget)(MODEL, VARIABLES, *request(1, 5), KEY, RETAIN)
    assert RETAIN.images.flags.writeable


def test_a_user_s_function_is_not_given_a_request_that_is_none(monkeypatch):
    method = theirs(monkeypatch, lambda params, request, key, retain: params)
    images, labels = request(1, 5)
    with pytest.raises(ValueError, match="the request is empty"):
        method(MODEL, VARIABLES, images[:0], labels[:0], KEY)
    with pytest.raises(ValueError, match=r"labels lie in 7 \.\.\. 7; expected 0 \.\.\. 3"):
        method(MODEL, VARIABLES, images, np.full_like(labels, 7), KEY)
    with pytest.raises(ValueError, match="hold NaN or infinity"):
        method(MODEL, VARIABLES, images * np.nan, labels, KEY)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda params, request, key, retain: params.params,
            r"a dict of 3 arrays \(.*; expected a Variables of 4 arrays",
        ),
        (lambda params, request, key, retain: None, "a NoneType of 0 arrays .* return params as they came"),
        (
            lambda params, request, key, retain: jax.tree.map(lambda leaf: leaf[:1], params),
            r"params/body/kernel as float32 of shape \(1, 6\); expected float32 of shape \(9, 6\)",
        ),
        (
            lambda params, request, key, retain: jax.tree.map(lambda leaf: leaf * jnp.nan, params),
            ".* with NaN or infinity",
        ),
        (
            lambda params, request, key, retain: Variables(params.params, ()),
            "a Variables of 3 arrays .*; expected a Variables of 4",
        ),
    ],
)
def test_what_a_user_s_function_may_not_return(monkeypatch, function, message):
    with pytest.raises(ValueError, match=f"their_service:forget returned {message}"):
        theirs(monkeypatch, function)(MODEL, VARIABLES, *request(1, 5), KEY, RETAIN)


def raises_key_error(params, request, key, retain=None):
    return params["weights"]


def test_what_a_user_s_function_raises_is_told_with_its_name(monkeypatch):
    method = theirs(monkeypatch, raises_key_error)
    message = r"their_service:forget raised TypeError: .*; it is called as unlearn\(params, request, key, retain=None\)"
    with pytest.raises(UserCodeError, match=message) as caught:
        method(MODEL, VARIABLES, *request(1, 5), KEY, RETAIN)
    assert isinstance(caught.value.__cause__, TypeError)
    assert "raises_key_error" in "".join(traceback.format_tb(caught.value.__cause__.__traceback__))


def test_a_user_s_function_may_diverge(monkeypatch):
    def diverges(params, request, key, retain=None):
        raise DivergedError("take a smaller step")

    for function in (diverges, lambda params, request, key, retain: jax.tree.map(lambda leaf: leaf * jnp.inf, params)):
        with pytest.raises(DivergedError):
            theirs(monkeypatch, function)(MODEL, VARIABLES, *request(1, 5), KEY, RETAIN)


@pytest.mark.parametrize(
    "function",
    [lambda params, request: params, lambda params, request, key, retain, model: params, lambda *, params: params],
)
def test_a_function_of_other_arguments_is_refused_before_it_is_called(monkeypatch, function):
    with pytest.raises(ValueError, match=r"cannot be called as unlearn\(params, request, key, retain=None\)"):
        theirs(monkeypatch, function)


def test_a_module_that_fails_while_it_is_imported(monkeypatch, tmp_path):
    (tmp_path / "broken_service.py").write_text("import no_such_module\n")
    (tmp_path / "leaving_service.py").write_text("raise SystemExit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        UserCodeError, match=r"broken_service:forget cannot be imported from .* or PYTHONPATH: No module named"
    ):
        user_method("broken_service:forget")
    with pytest.raises(
        UserCodeError, match=r"leaving_service:forget cannot be imported from .* or PYTHONPATH: SystemExit: 0"
    ):
        user_method("leaving_service:forget")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:forget", "cannot be imported from .* or PYTHONPATH: No module named"),
        ("json:forget", "has no attribute 'forget'"),
        ("os:path", "is a module; expected unlearn"),
        (":forget", "cannot be imported"),
    ],
)
def test_functions_that_are_not_there(name, message):
    with pytest.raises(ValueError, match=message):
        user_method(name)
