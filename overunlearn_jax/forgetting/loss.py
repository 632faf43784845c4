"""A model's loss on the forget set, in prediction mode."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from overunlearn_jax.batching import in_batches
from overunlearn_jax.labels import check_labels
from overunlearn_jax.models import Model
from overunlearn_jax.types import Array, Images, Labels, Variables

LOSS_BATCH = 256  # samples whose loss is computed at a time; changes no result


def mean_loss(model: Model, variables: Variables, images: Images, labels: Labels) -> float:
    """Mean cross-entropy of a model in prediction mode, in nats; 0 is best.

    Args:
      model: pure functions.
      variables: its weights.
      images: shape=(n, h, w, c), dtype=float32, at least one.
      labels: shape=(n,), integers.

    Raises:
      ValueError: no images or labels that do not fit them.
    """
    check_samples(model, variables, images, labels)
    return checked_mean_loss(model, variables, jnp.asarray(images), jnp.asarray(labels))


def check_samples(model: Model, variables: Variables, images: Images, labels: Labels) -> None:
    """Checks what a loss is asked of.

    Args:
      model: pure functions.
      variables: its weights.
      images: shape=(n, h, w, c), dtype=float32, at least one.
      labels: shape=(n,), integers.

    Raises:
      ValueError: no images, or labels that are not one integer an image with a logit of its own.
    """
    if len(images) == 0:
        raise ValueError("there are no images: a loss needs at least one sample")
    logits = jax.eval_shape(partial(_logits, model.apply), variables, images[:1])
    check_labels("labels", labels, len(images), logits.shape[-1])


def checked_mean_loss(model: Model, variables: Variables, images: Array, labels: Array) -> float:
    """`mean_loss` of samples on the device that have been checked already.

    Args:
      model: pure functions.
      variables: its weights.
      images: shape=(n, h, w, c), dtype=float32.
      labels: shape=(n,), integers.
    """

    def ask(rows: np.ndarray) -> np.ndarray:
        return np.asarray(sample_losses(model.apply, variables, images, labels, rows))

    return float(in_batches(ask, np.arange(len(labels)), min(LOSS_BATCH, len(labels))).mean(dtype=np.float64))


@partial(jax.jit, static_argnames="apply")
def _logits(apply: Any, variables: Variables, images: Images) -> Array:
    return apply(variables, images, None)[0]


@partial(jax.jit, static_argnames="apply")
def sample_losses(apply: Any, variables: Variables, images: Images, labels: Labels, rows: Array | np.ndarray) -> Array:
    """The cross-entropy of some samples, in nats.

    Args:
      apply: of a `Model`.
      variables: its weights.
      images: shape=(n, h, w, c), dtype=float32, on the device.
      labels: shape=(n,), integers.
      rows: shape=(m,), integers in 0 ... n - 1: which samples.

    Returns:
      shape=(m,), dtype=float32.
    """
    return optax.softmax_cross_entropy_with_integer_labels(_logits(apply, variables, images[rows]), labels[rows])
