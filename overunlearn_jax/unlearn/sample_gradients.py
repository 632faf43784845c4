"""Gradients of single samples: each clipped before they are summed, and how long they are; in chunks by memory."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from overunlearn_jax.models import Model
from overunlearn_jax.types import Array, Images, Labels, Params, PyTree, Variables
from overunlearn_jax.unlearn.partition import merge_params, partition_params
from overunlearn_jax.unlearn.work import count_gradients

MEMORY = 256 << 20  # bytes that the gradients of one chunk may take
MOST = 256  # samples in a chunk

Apply = Callable[..., tuple[Array, PyTree]]


def clipped_difference(
    apply: Apply,
    selected: Params,
    rest: Params,
    state: PyTree,
    images: Images,
    others: Images | None,
    labels: Labels,
    clip_each: float,
) -> Params:
    """Sum over i of grad (l(x~_i, y_i) - l(x_i, y_i)), each sample's share clipped to the L2 norm `clip_each`.

    The per-example clipping of Abadi et al., CCS 2016, without their noise: no sample moves the model further than
    tau * `clip_each`. Without `others` the first loss is left out. Needs a model whose answer to an image does not
    depend on the other images. Costs the memory of the gradients of a chunk, and their time one by one.

    Args:
      apply: of a `Model`.
      selected: the parameters that move; see `partition_params`.
      rest: the others.
      state: what the model tracks.
      images: shape=(n, h, w, c), dtype=float32: the x_i.
      others: shape=(n, h, w, c): the x~_i, or None.
      labels: shape=(n,), integers: the y_i.
      clip_each: the longest gradient of a sample, an L2 norm.

    Returns:
      The form of `selected`.
    """
    total = jax.tree.map(jnp.zeros_like, selected)
    size = _chunk(selected, len(labels))
    for start in range(0, len(labels), size):
        rows = np.arange(start, start + size)
        counted = rows < len(labels)
        rows = np.where(counted, rows, start)  # a chunk that is not full repeats a sample that does not count
        other = None if others is None else np.asarray(others)[rows]
        batch = np.asarray(images)[rows], other, np.asarray(labels)[rows], counted
        total = jax.tree.map(jnp.add, total, _clipped_sum(apply, selected, rest, state, *batch, clip_each))
    return total


def sample_gradient_norms(
    model: Model, variables: Variables, images: Images, labels: Labels, *, scope: str = "head"
) -> np.ndarray:
    """The L2 norm of each sample's own loss gradient in the parameters of `scope`.

    A quantile of those of training samples is where `first_order(clip_each=...)` may begin to clip.

    Args:
      model: two pure functions.
      variables: its weights.
      images: shape=(n, h, w, c), dtype=float32.
      labels: shape=(n,), dtype=int32.
      scope: see `partition`.

    Returns:
      shape=(n,), dtype=float64.
    """
    selected, rest = partition_params(variables.params, scope)
    norms, size = np.zeros(len(labels)), _chunk(selected, len(labels))
    for start in range(0, len(labels), size):
        rows = np.minimum(np.arange(start, start + size), len(labels) - 1)
        batch = np.asarray(images)[rows], None, np.asarray(labels)[rows]
        found = _norms(model.apply, selected, rest, variables.state, *batch)
        norms[start : start + size] = np.asarray(found)[: len(labels) - start]
    count_gradients(len(labels))
    return norms


def _chunk(selected: Params, count: int) -> int:
    """Samples in a chunk: a power of two, so that requests of any size share a few compiled programs."""
    weights = sum(leaf.size for leaf in jax.tree.leaves(selected))
    most = min(MOST, max(1, MEMORY // (4 * max(1, weights))))
    return min(1 << (most.bit_length() - 1), 1 << max(0, count - 1).bit_length())


def _each(
    apply: Apply,
    selected: Params,
    rest: Params,
    state: PyTree,
    images: Images,
    others: Images | None,
    labels: Labels,
) -> Params:
    """A leading axis of samples on every leaf."""

    def objective(params: Params, image: Array, other: Array | None, label: Array) -> Array:
        def loss(one: Array) -> Array:
            logits, _ = apply(Variables(merge_params(params, rest), state), one[None], None)
            return optax.softmax_cross_entropy_with_integer_labels(logits, label[None])[0]

        return (0.0 if other is None else loss(other)) - loss(image)

    with jax.default_matmul_precision("highest"):
        return jax.vmap(jax.grad(objective), (None, 0, 0, 0))(selected, images, others, labels)


@partial(jax.jit, static_argnums=0)
def _clipped_sum(
    apply: Apply,
    selected: Params,
    rest: Params,
    state: PyTree,
    images: Images,
    others: Images | None,
    labels: Labels,
    counted: Array,
    clip_each: float,
) -> Params:
    gradients = _each(apply, selected, rest, state, images, others, labels)
    leaves, form = jax.tree.flatten(gradients)
    leaves = [jnp.where(counted.reshape(-1, *(1,) * (leaf.ndim - 1)), leaf, 0) for leaf in leaves]
    with jax.default_matmul_precision("highest"):
        return jax.tree.unflatten(form, optax.per_example_global_norm_clip(leaves, clip_each)[0])


@partial(jax.jit, static_argnums=0)
def _norms(
    apply: Apply, selected: Params, rest: Params, state: PyTree, images: Images, others: None, labels: Labels
) -> Array:
    return jax.vmap(optax.tree.norm)(_each(apply, selected, rest, state, images, others, labels))
