"""Which parameters unlearning may touch: chosen by a pattern on their path in the tree, such as `head_dense/kernel`."""

import re

import jax

from overunlearn_jax.types import Params

SCOPES = {"head": r"^head_", "all": r""}
_LISTED = 100  # paths in an error message


def parameter_paths(params: Params) -> list[str]:
    """The path of every leaf, its keys joined by `/`, in the order of `jax.tree.leaves`."""
    return [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree_util.tree_leaves_with_path(params)
    ]


def partition_params(params: Params, scope: str) -> tuple[Params, Params]:
    """Splits `params` into (selected, rest): two trees of the same form with None where the other has the leaf.

    `scope` is "head" (the classifier head of this package's models), "all", or a regular expression searched in the
    paths (those of an nnx state end in `/value`). None is an empty subtree to JAX, so gradients and optimisers see the
    selected leaves only. Raises ValueError where nothing matches: it lists the paths that there are, and says what to
    choose.

    Examples:
      >>> partition_params({"head_a": 1.0, "body": 2.0}, "head")
      ({'body': None, 'head_a': 1.0}, {'body': 2.0, 'head_a': None})
    """
    pattern = SCOPES.get(scope, scope)
    paths = parameter_paths(params)
    try:
        matches = [re.search(pattern, path) is not None for path in paths]
    except re.error as error:
        raise ValueError(f"scope {scope!r} is neither head, all nor a regular expression: {error}") from error
    if not any(matches):
        raise ValueError(f"scope {scope!r} matches no parameter; {_advice(scope, paths)}")
    leaves, structure = jax.tree.flatten(params)
    selected = jax.tree.unflatten(
        structure, [leaf if match else None for leaf, match in zip(leaves, matches, strict=True)]
    )
    rest = jax.tree.unflatten(structure, [None if match else leaf for leaf, match in zip(leaves, matches, strict=True)])
    return selected, rest


def _advice(scope: str, paths: list[str]) -> str:
    """Which paths there are, and how to choose among them."""
    if not paths:
        return "this model has none at all: what it is trained in has to be in `params`"
    listed = ", ".join(paths[:_LISTED]) + (f" and {len(paths) - _LISTED} more" if len(paths) > _LISTED else "")
    layer, slash, _ = paths[-1].rpartition("/")
    example = f"^{re.escape(layer)}/" if slash else f"^{re.escape(paths[-1])}$"
    why = ' "head" is what begins with head_;' if scope == "head" else ""
    return (
        f"this model has: {listed}.{why} choose all parameters with --scope=all, or some with a regular expression on "
        f"these paths, as in --scope='{example}' (scope=... in Python)"
    )


def merge_params(selected: Params, rest: Params) -> Params:
    """The inverse of `partition_params`."""
    return jax.tree.map(
        lambda first, second: second if first is None else first, selected, rest, is_leaf=lambda leaf: leaf is None
    )
