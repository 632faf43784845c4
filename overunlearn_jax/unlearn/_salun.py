"""SalUn: random labels, but only the weights move that the request's loss depends on most (Fan et al., ICLR 2024)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.models import Model
from overunlearn_jax.types import Array, DivergedError, Images, Key, Labels, Params, PyTree, Split, Variables
from overunlearn_jax.unlearn._random_labels import learn_wrong_labels
from overunlearn_jax.unlearn.call import UnlearnFn, check_request, check_settings, finite, retained
from overunlearn_jax.unlearn.descent import Apply, Batch, cross_entropy
from overunlearn_jax.unlearn.partition import merge_params, partition_params
from overunlearn_jax.unlearn.work import count_gradients


def salun(
    *,
    share: float = 0.5,
    learning_rate: float = 1e-3,
    steps: int = 100,
    batch_size: int = 64,
    scope: str = "all",
) -> UnlearnFn:
    """`random_labels` on the `share` of the weights in `scope` with the largest gradient of the request's loss.

    At share 1 it is `random_labels`, at 0 nothing moves.

    Args:
      share: of the weights that move, from 0 to 1.
      learning_rate: of SGD with momentum 0.9.
      steps: pairs of batches in all.
      batch_size: samples a batch; all of a smaller request.
      scope: the parameters that move, see `partition`.

    Raises:
      ValueError: another share and settings out of range; from the method itself, a wrong request or without retained
        data.
      DivergedError: from the method itself, no usable model is left.

    References:
      Fan et al., ICLR 2024.
    """
    check_settings("salun", learning_rate=learning_rate, steps=steps, batch_size=batch_size)
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; expected the part of the weights that may move, from 0 to 1")

    def unlearn_fn(
        model: Model, variables: Variables, images: Images, labels: Labels, key: Key, retain: Split | None = None
    ) -> Variables:
        classes = check_request(model, variables, images, labels)
        held = retained("salun", retain, classes)
        after = learn_wrong_labels(
            model,
            variables,
            Batch(images, labels),
            Batch(held.images, held.labels),
            classes,
            key,
            learning_rate=learning_rate,
            steps=steps,
            batch_size=batch_size,
            scope=scope,
            mask=saliency_mask(model, variables, images, labels, share=share, scope=scope),
        )
        return finite("salun", after, f"take a smaller learning_rate than {learning_rate}")

    return unlearn_fn


def saliency_mask(
    model: Model, variables: Variables, images: Images, labels: Labels, *, share: float, scope: str = "all"
) -> Params:
    """True for the `share` of all weights in `scope` where the sum of the samples' gradients is largest in size.

    Args:
      model: pure functions.
      variables: its weights.
      images: shape=(n, h, w, c), dtype=float32: what is submitted.
      labels: shape=(n,), integers.
      share: of the weights, in [0, 1].
      scope: the parameters that are looked at, see `partition`.

    Returns:
      Booleans in the form of the selected parameters.

    Raises:
      DivergedError: where that sum is not finite.
    """
    selected, rest = partition_params(variables.params, scope)
    total = jax.tree.map(jnp.zeros_like, selected)
    count_gradients(len(labels))
    for start in range(0, len(labels), 256):
        batch = Batch(images[start : start + 256], labels[start : start + 256])
        total = jax.tree.map(jnp.add, total, _gradient(model.apply, selected, rest, variables.state, batch))
    sizes = np.concatenate([np.abs(np.asarray(leaf)).ravel() for leaf in jax.tree.leaves(total)])
    if not np.isfinite(sizes).all():  # they would sort as the least salient, and never move
        raise DivergedError("salun: a gradient of the request is not finite; the model has no slope at some sample")
    moving = round(share * len(sizes))
    moves = np.zeros(len(sizes), bool)
    moves[np.argsort(-sizes, kind="stable")[:moving]] = True
    leaves, structure = jax.tree.flatten(selected)
    cuts = np.cumsum([leaf.size for leaf in leaves])[:-1]
    parts = [part.reshape(leaf.shape) for part, leaf in zip(np.split(moves, cuts), leaves, strict=True)]
    return jax.tree.unflatten(structure, [jnp.asarray(part) for part in parts])


@partial(jax.jit, static_argnums=0)
def _gradient(apply: Apply, selected: Params, rest: Params, state: PyTree, batch: Batch) -> Params:
    def loss(params: Params) -> Array:
        return cross_entropy(apply, Variables(merge_params(params, rest), state), batch).sum()

    return jax.grad(loss)(selected)
