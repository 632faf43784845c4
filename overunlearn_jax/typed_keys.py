"""Typed random keys (`jax.random.key`) among a tree's arrays, made plain arrays for NumPy and for disks."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.types import PyTree

_NAME = "key of "


def is_key(leaf: Any) -> bool:
    """Whether a leaf is a typed key, or an array of them."""
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def without_keys(tree: PyTree) -> PyTree:
    """`tree`, of arrays or `jax.ShapeDtypeStruct`, with each key as {"key of KIND": its data}.

    Examples:
      >>> without_keys({"rng": jax.random.key(3)})["rng"]["key of threefry2x32"].tolist()
      [0, 3]
    """

    def plain(leaf: Any) -> Any:
        if not is_key(leaf):
            return leaf
        if isinstance(leaf, jax.ShapeDtypeStruct):
            return jax.eval_shape(plain, leaf)
        return {f"{_NAME}{jax.random.key_impl(leaf)}": jax.random.key_data(leaf)}

    return jax.tree.map(plain, tree)


def with_keys(plain: PyTree, like: PyTree) -> PyTree:
    """The tree that `without_keys` has made `plain` of; `like` has its structure and dtypes."""

    def typed(leaf: Any, stored: Any) -> Any:
        if not is_key(leaf):
            return stored
        [(name, data)] = stored.items()
        return jax.random.wrap_key_data(data, impl=name.removeprefix(_NAME))

    return jax.tree.map(typed, like, plain)


def host_copy(tree: PyTree) -> PyTree:
    """`tree` with its arrays copied to NumPy's; keys stay."""
    return jax.tree.map(lambda leaf: leaf if is_key(leaf) else np.array(leaf), tree)
