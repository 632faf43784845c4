"""Relearn time: a model that still holds its forget set learns it again faster than one that never saw it."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.forgetting.loss import check_samples, checked_mean_loss, sample_losses
from overunlearn_jax.models import Model
from overunlearn_jax.types import Array, DivergedError, Images, Key, Labels, Params, PyTree, Variables


def relearn_steps(
    model: Model,
    variables: Variables,
    images: Images,
    labels: Labels,
    key: Key,
    *,
    target_loss: float,
    learning_rate: float,
    batch_size: int,
    most: int,
) -> int | None:
    """SGD steps on the forget set until the mean loss on all of it is at most `target_loss`.

    Golatkar et al. (CVPR 2020) ask how long an unlearned model takes to come back to within a margin of the original
    model's loss on the forget set: `target_loss = mean_loss(original) * (1 + margin)`, or plus a margin where that loss
    is close to 0. One number alone says little; compare with a model retrained without the forget set, with the same
    key and settings. As many steps as that one: forgotten. Fewer: something is remembered. Many more: the model was
    damaged, which gives unlearning away as well. The quotient of the two is the anamnesis index (Chundawat et al.,
    IEEE TIFS 2023), best at 1.

    Steps are plain SGD in all parameters and in prediction mode: no dropout, and stored batch statistics, which stay as
    they are. Each epoch is a new shuffle; the rest that fills no batch is left out of it. One trace serves every step,
    and every model of the same `apply` and shapes.

    Args:
      model: what was trained; `variables` are its weights, and are not changed.
      images: shape=(n, h, w, c), dtype=float32, the forget set.
      labels: shape=(n,), dtype=int32.
      key: for the shuffles.
      target_loss: mean cross-entropy in nats, above 0.
      learning_rate: of SGD.
      batch_size: samples a step; all n where there are fewer.
      most: steps after which to give up.

    Returns:
      The number of steps; 0 where the loss is low enough at once, None where `most` steps do not suffice.

    Raises:
      ValueError: for no images, labels that do not fit them, settings out of range, or a loss that is not finite.
      DivergedError: where the loss stops being finite on the way.
    """
    check_samples(model, variables, images, labels)
    if not (0 < target_loss < np.inf and 0 < learning_rate < np.inf):
        raise ValueError(f"target_loss is {target_loss} and learning_rate {learning_rate}; expected numbers above 0")
    if batch_size < 1 or most < 0:
        raise ValueError(f"batch_size is {batch_size} and most is {most}; expected at least 1 and at least 0")
    images, labels = jnp.asarray(images), jnp.asarray(labels)
    batch_size = min(batch_size, len(labels))
    steps_per_epoch = len(labels) // batch_size
    order = np.empty(0, np.int64)
    # A Python loop, as in training: XLA runs kernel gradients inside a compiled loop on one thread of a CPU.
    for step in range(most + 1):
        loss = checked_mean_loss(model, variables, images, labels)
        if not np.isfinite(loss) and step == 0:
            raise ValueError(
                f"the model's loss is {loss} before the first step: its weights or the images hold NaN or infinity"
            )
        if not np.isfinite(loss):
            raise DivergedError(
                f"the loss became {loss} after {step} steps with learning rate {learning_rate}; take a smaller one"
            )
        if loss <= target_loss:
            return step
        if step == most:
            break
        epoch, batch = divmod(step, steps_per_epoch)
        if batch == 0:
            order = np.asarray(jax.random.permutation(jax.random.fold_in(key, epoch), len(labels)))
        rows = order[batch * batch_size : (batch + 1) * batch_size]
        params = _sgd_step(model.apply, variables, images, labels, rows, float(learning_rate))
        variables = variables._replace(params=params)
    return None


@partial(jax.jit, static_argnames="apply")
def _sgd_step(
    apply: Any, variables: Variables, images: Images, labels: Labels, rows: Array | np.ndarray, learning_rate: float
) -> Params:
    def loss_fn(params: Params) -> Array:
        return sample_losses(apply, variables._replace(params=params), images, labels, rows).mean()

    def move(parameter: PyTree, gradient: Array) -> Array:
        return parameter - learning_rate * gradient

    return jax.tree.map(move, variables.params, jax.grad(loss_fn)(variables.params))
