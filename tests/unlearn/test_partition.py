"""Parameters chosen by name: what is selected, in which order, and what a wrong name is told."""

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from overunlearn_jax.models import resnet, vgg
from overunlearn_jax.unlearn import merge_params, parameter_paths, partition_params


class _Layer(NamedTuple):
    kernel: float
    bias: float


NESTED = {
    "head_dense": {"kernel": 1.0, "bias": 2.0},
    "body": {"head_like": 3.0, "kernel": 4.0},
    "head_logits": {"kernel": 5.0},
}
PATHS = ["body/head_like", "body/kernel", "head_dense/bias", "head_dense/kernel", "head_logits/kernel"]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("all", PATHS),
        ("head", PATHS[2:]),
        ("kernel$", ["body/kernel", "head_dense/kernel", "head_logits/kernel"]),
        ("^body/", PATHS[:2]),
        ("dense|like", ["body/head_like", "head_dense/bias", "head_dense/kernel"]),
    ],
)
def test_selected_leaves(scope, expected):
    values = dict(zip(PATHS, jax.tree.leaves(NESTED), strict=True))
    selected, rest = partition_params(NESTED, scope)
    assert parameter_paths(selected) == expected
    assert parameter_paths(rest) == [path for path in PATHS if path not in expected]
    for path, value in zip(expected, jax.tree.leaves(selected), strict=True):
        assert value == values[path]
    assert merge_params(selected, rest) == NESTED
    assert merge_params(rest, selected) == NESTED


def test_paths_are_in_the_order_of_the_leaves():
    values = [4.0, 3.0, 2.0, 1.0]
    params = {"z": values[3], "a": {"y": values[1], "b": values[0]}, "m": values[2]}
    assert list(params) == ["z", "a", "m"]
    expected = [params["a"]["b"], params["a"]["y"], params["m"], params["z"]]
    assert jax.tree.leaves(params) == expected
    assert parameter_paths(params) == ["a/b", "a/y", "m", "z"]


@pytest.mark.parametrize(
    ("params", "paths"),
    [
        (_Layer(1.0, 2.0), ["kernel", "bias"]),
        ([_Layer(1.0, 2.0), (3.0,)], ["0/kernel", "0/bias", "1/0"]),
        ({"layers": [1.0, {"head": 2.0}]}, ["layers/0", "layers/1/head"]),
    ],
)
def test_paths_of_other_containers(params, paths):
    assert parameter_paths(params) == paths
    selected, rest = partition_params(params, f"^{paths[-1]}$")
    assert len(jax.tree.leaves(selected)) == 1
    assert merge_params(selected, rest) == params


def test_paths_of_an_nnx_state():
    state = nnx.state(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), nnx.Param)
    paths = parameter_paths(state)
    assert [path.split("/")[0] for path in paths] == ["bias", "kernel"]
    selected, rest = partition_params(state, "kernel")
    assert [leaf.shape for leaf in jax.tree.leaves(selected)] == [(3, 2)]
    merged = merge_params(selected, rest)
    assert jax.tree.structure(merged) == jax.tree.structure(state)
    for ours, theirs in zip(jax.tree.leaves(merged), jax.tree.leaves(state), strict=True):
        assert ours is theirs


@pytest.mark.parametrize("build", [vgg, resnet])
def test_the_head_is_two_dense_layers_and_the_norm_between_them(build):
    params = jax.eval_shape(build(5, (8, 8, 1), width=4).init, jax.random.key(0)).params
    selected, _ = partition_params(params, "head")
    layers = {path.split("/")[0] for path in parameter_paths(selected)}
    assert layers == {"head_dense", "head_norm", "head_logits"}
    assert len(jax.tree.leaves(selected)) == 6


def test_gradients_see_the_selected_leaves_only():
    params = {"head_a": jnp.float32(2.0), "body": jnp.float32(3.0)}
    selected, rest = partition_params(params, "head")

    def product(part):
        whole = merge_params(part, rest)
        return whole["head_a"] * whole["body"]

    gradient = jax.grad(product)(selected)
    assert gradient["body"] is None
    np.testing.assert_array_equal(gradient["head_a"], 3.0)


@pytest.mark.parametrize("scope", ["Head", "^kernel", "head_dense/kernel/value"])
def test_a_pattern_that_matches_nothing_is_told_the_paths(scope):
    with pytest.raises(ValueError, match="matches no parameter") as caught:
        partition_params(NESTED, scope)
    assert repr(scope) in str(caught.value)
    assert all(path in str(caught.value) for path in PATHS)


NO_HEAD = {"body": {"kernel": 1.0}, "classifier.0": {"bias": 2.0, "kernel": 3.0}}


def test_a_model_without_a_head_is_told_the_paths_and_what_to_choose():
    with pytest.raises(ValueError, match=r"'head' matches no parameter; this model has: body/kernel, ") as caught:
        partition_params(NO_HEAD, "head")
    assert '"head" is what begins with head_; choose all parameters with --scope=all, or some' in str(caught.value)
    (example,) = re.findall("--scope='([^']*)'", str(caught.value))
    for scope, count in ((example, 2), ("all", 3)):
        selected, _ = partition_params(NO_HEAD, scope)
        assert len(jax.tree.leaves(selected)) == count
    with pytest.raises(ValueError, match=r"--scope='\^weights\$'"):
        partition_params({"weights": 1.0}, "head")


def test_a_model_of_very_many_parameters_is_told_some_paths():
    with pytest.raises(ValueError, match=r"has: layer_000, .*, layer_099 and 200 more\. choose"):
        partition_params({f"layer_{index:03}": 1.0 for index in range(300)}, "tail")


def test_a_model_that_keeps_nothing_in_its_params_is_told_so():
    with pytest.raises(ValueError, match="matches no parameter; this model has none at all"):
        partition_params({}, "all")


def test_a_pattern_that_is_no_regular_expression_is_refused():
    with pytest.raises(ValueError, match=r"'\(head'.*regular expression"):
        partition_params(NESTED, "(head")
