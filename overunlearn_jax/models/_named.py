"""A tree of any framework's own classes as a flat dict of arrays by their paths, such as {"head/kernel": ...}.

So the weights of a model are named alike however its framework holds them, and are read without it.
"""

from typing import TypeVar

import jax

from overunlearn_jax.types import Array, PyTree, Variables

Tree = TypeVar("Tree")


def named_leaves(tree: PyTree) -> dict[str, Array]:
    """The leaves by their paths, keys joined by `/`; what Flax's variables call their `value` adds nothing to it.

    Examples:
      >>> named_leaves({"head": {"bias": 1.0, "kernel": 2.0}})
      {'head/bias': 1.0, 'head/kernel': 2.0}
    """
    return {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def with_leaves(tree: Tree, named: dict[str, Array]) -> Tree:
    """The tree with the leaves of those names in the place of its own; names that it does not have are left out.

    Raises:
      ValueError: a name that is missing.
    """
    names = list(named_leaves(tree))
    missing = [name for name in names if name not in named]
    if missing:
        raise ValueError(f"the variables have no {', '.join(missing)}: they are of another architecture")
    filled: Tree = jax.tree.unflatten(jax.tree.structure(tree), [named[name] for name in names])
    return filled


def check_made(made: Variables, variables: Variables) -> None:
    """Raises ValueError where what `make` draws, as arrays or shapes, has another form than the module's variables."""
    for drawn, own in zip(made, variables, strict=True):
        one, other = ({name: (leaf.shape, leaf.dtype.name) for name, leaf in each.items()} for each in (drawn, own))
        differ = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
        if differ:
            name = differ[0]
            raise ValueError(
                f"make draws another architecture than the module's: {len(differ)} arrays differ, such as {name}: "
                f"{one.get(name, 'none')} there, {other.get(name, 'none')} in the module"
            )


def _name(path: tuple[object, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/").removesuffix("/value")
