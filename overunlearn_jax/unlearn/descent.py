"""SGD on an objective of submitted and retained batches: the loop that several unlearning methods share.

The network predicts as when deployed: stored batch statistics, no dropout. A request is one class, and statistics taken
from it would harm every other class whatever the method. Retained batches, which are mixed, go the same way, so that
one loss is climbed and descended; the authors' codes of SCRUB and SalUn use training mode.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from overunlearn_jax.models import Model
from overunlearn_jax.types import Array, Images, Key, Labels, Params, PyTree, Variables
from overunlearn_jax.unlearn.partition import merge_params, partition_params
from overunlearn_jax.unlearn.work import count_gradients

MOMENTUM = 0.9


class Batch(NamedTuple):
    """Some samples of one kind."""

    images: Images  # shape=(b, h, w, c), dtype=float32
    labels: Labels  # shape=(b,), dtype=int32


NOTHING = Batch(None, None)  # type: ignore[arg-type]


class Step(NamedTuple):
    """What one step learns from; NOTHING where the objective does without.

    An objective, which is traced, sees another object than NOTHING: it asks `step.retained.labels is None`.
    """

    submitted: Batch
    retained: Batch


Apply = Callable[..., tuple[Array, PyTree]]  # as Model.apply

# (the model's apply, its variables, what the step learns from, the method's numbers and weights) -> what is minimised
Objective = Callable[[Apply, Variables, Step, Any], Array]


def descend(
    objective: Objective,
    model: Model,
    variables: Variables,
    steps: Iterator[Step],
    context: PyTree = (),
    *,
    learning_rate: float,
    scope: str = "all",
    mask: Params | None = None,
) -> Variables:
    """The variables after SGD with momentum 0.9 over all of `steps`.

    `objective` is a function of a module, not a closure: with the model it is the key of the compiled step. Numbers and
    weights that it needs come in `context`. `mask`, a tree of booleans like the parameters in `scope`, names those that
    move.
    """
    selected, rest = partition_params(variables.params, scope)
    velocity = jax.tree.map(jnp.zeros_like, selected)
    for step in steps:
        count_gradients(sum(len(batch.labels) for batch in step if batch is not NOTHING))
        selected, velocity = _step(
            model.apply, objective, selected, velocity, rest, variables.state, step, context, mask, learning_rate
        )
    return variables._replace(params=merge_params(selected, rest))


@partial(jax.jit, static_argnums=(0, 1))
def _step(
    apply: Apply,
    objective: Objective,
    selected: Params,
    velocity: Params,
    rest: Params,
    state: PyTree,
    step: Step,
    context: PyTree,
    mask: Params | None,
    learning_rate: float,
) -> tuple[Params, Params]:
    def loss(params: Params) -> Array:
        return objective(apply, Variables(merge_params(params, rest), state), step, context)

    gradients = jax.grad(loss)(selected)
    if mask is not None:
        gradients = jax.tree.map(lambda gradient, moves: jnp.where(moves, gradient, 0), gradients, mask)
    velocity = jax.tree.map(lambda old, gradient: MOMENTUM * old + gradient, velocity, gradients)
    return jax.tree.map(lambda leaf, moved: leaf - learning_rate * moved, selected, velocity), velocity


def batches(key: Key, images: Images, labels: Labels, batch_size: int, count: int) -> Iterator[Batch]:
    """Batches of one size, shuffled anew whenever the samples are used up; fewer samples, smaller batches.

    Args:
      key: of the shuffles.
      images: shape=(n, h, w, c), dtype=float32.
      labels: shape=(n,), integers.
      batch_size: samples a batch, at most.
      count: how many batches.
    """
    size = min(batch_size, len(labels))
    per_epoch = len(labels) // size  # the rest of a shuffle is left out: shapes stay the same
    order = np.arange(0)
    for step in range(count):
        if step % per_epoch == 0:
            order = np.asarray(jax.random.permutation(jax.random.fold_in(key, step // per_epoch), len(labels)))
        rows = order[step % per_epoch * size :][:size]
        yield Batch(np.asarray(images)[rows], np.asarray(labels)[rows])


def pairs(
    submitted_key: Key, submitted: Batch, retained_key: Key, retained: Batch, batch_size: int, count: int
) -> Iterator[Step]:
    """`count` steps that learn from a submitted and a retained batch each; see `batches`."""
    return map(
        Step,
        batches(submitted_key, *submitted, batch_size, count),
        batches(retained_key, *retained, batch_size, count),
    )


def cross_entropy(apply: Apply, variables: Variables, batch: Batch) -> Array:
    """The loss of each sample (b,)."""
    logits, _ = apply(variables, batch.images, None)
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch.labels)
