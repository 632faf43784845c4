"""A Flax nnx module as a model: split once into structure and arrays, merged anew in every pass."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from overunlearn_jax.models._named import check_made, named_leaves, with_leaves
from overunlearn_jax.models.base import Model
from overunlearn_jax.types import Array, Images, Key, PyTree, Variables

Call = Callable[[Any, Images, Key | None], Array]


def nnx_model(
    module: nnx.Module, *, make: Callable[[nnx.Rngs], nnx.Module] | None = None, call: Call | None = None
) -> tuple[Model, Variables]:
    """An nnx module and its weights, for all methods of this package; the module itself is never changed.

    A prediction is asked of the module in `eval()`, a training pass in `train()`, with its random streams drawn anew
    from the pass's key. What the module tracks beside its parameters, such as batch statistics, is the `state`; what a
    pass adds, such as intermediates, is left out.

    Examples:
      >>> model, variables = nnx_model(net, make=lambda rngs: Net(10, rngs=rngs))            # doctest: +SKIP

    Args:
      module: trained or not.
      make: draws a new module of the same architecture; called with `nnx.Rngs(key)`. Training from scratch needs it:
        `fit`, and methods that retrain. None: `Model.init` raises ValueError.
      call: of (module, images, key), where the module's own call does not take images alone, to logits (n, k). The key
        is None in predictions.

    Returns:
      The model, and the module's variables: `params` and `state` are dicts of arrays by their paths, such as
      "head/kernel", which scopes of unlearning methods are searched in.

    Raises:
      ValueError: `make` makes another architecture.
    """
    graph, params, random, state = _split(module)

    def init_fn(key: Key) -> Variables:
        if make is None:
            raise ValueError(
                "this model was made of one module, and nothing draws another from a key: give nnx_model(module, "
                "make=lambda rngs: Net(rngs=rngs)) to train from scratch"
            )
        _, drawn, _, tracked = _split(make(nnx.Rngs(key)))
        return Variables(named_leaves(drawn), named_leaves(tracked))

    def apply_fn(variables: Variables, images: Images, key: Key | None) -> tuple[Array, PyTree]:
        streams = random if key is None else _reseeded(random, key)
        own = (with_leaves(params, variables.params), streams, with_leaves(state, variables.state))
        net = nnx.merge(graph, *own, copy=True)  # a pass changes its copy only
        if key is None:
            net.eval()
        else:
            net.train()
        logits = net(images) if call is None else call(net, images, key)
        if key is None:
            return logits, variables.state
        updated = named_leaves(_split(net)[3])
        return logits, {name: updated[name] for name in variables.state}

    variables = Variables(named_leaves(params), named_leaves(state))
    if make is not None:
        check_made(jax.eval_shape(init_fn, jax.random.key(0)), variables)
    return Model(init_fn, apply_fn), variables


def _split(module: nnx.Module) -> Any:
    """Structure, parameters, random streams, and what else is tracked."""
    return nnx.split(module, nnx.Param, nnx.RngState, ...)


def _reseeded(random: nnx.State[Any, Any], key: Key) -> nnx.State[Any, Any]:
    """The random streams with keys folded from `key`, each its own; counts stay."""
    leaves, structure = jax.tree.flatten(random)
    folded = [
        _like(leaf, jax.random.fold_in(key, number)) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        for number, leaf in enumerate(leaves)
    ]
    reseeded: nnx.State[Any, Any] = jax.tree.unflatten(structure, folded)
    return reseeded


def _like(stream: Array, key: Key) -> Array:
    """One key, or as many as a stream of several layers has."""
    return jax.random.split(key, stream.shape) if stream.shape else key
