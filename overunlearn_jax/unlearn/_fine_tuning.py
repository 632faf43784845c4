"""Fine-tuning: forget a sample by training on it under a random other label."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from overunlearn_jax.models import Model
from overunlearn_jax.types import Array, Images, Key, Labels, Params, PyTree, Split, Variables
from overunlearn_jax.unlearn.call import UnlearnFn, check_request, check_settings, finite
from overunlearn_jax.unlearn.partition import merge_params, partition_params
from overunlearn_jax.unlearn.work import count_gradients


def random_other_labels(key: Key, labels: Labels, num_classes: int) -> Labels:
    """For each label one of the other classes, uniformly.

    Args:
      key: of all labels.
      labels: shape=(n,), integers in 0 ... k - 1.
      num_classes: k, two or more.

    Returns:
      shape=(n,), dtype of the labels.
    """
    return (labels + jax.random.randint(key, labels.shape, 1, num_classes)) % num_classes


def fine_tuning(
    *,
    num_classes: int,
    learning_rate: float = 0.01,
    batch_size: int = 64,
    epochs: int = 1,
    scope: str = "all",
) -> UnlearnFn:
    """SGD on the submitted samples, each under one random other label, in training mode (dropout, batch statistics).

    The paper's settings: learning rate 0.01, batches of 64 (the last one may be smaller), 1 epoch. Only parameters in
    `scope` are trained, but the batch statistics of every layer follow the samples.

    Raises:
      ValueError: fewer than two classes and settings out of range; from the method itself, a wrong request or a model
        of another number of classes.
      DivergedError: from the method itself, no usable model is left.

    References:
      Hu et al., NDSS 2024: fine-tuning on random labels.
    """
    check_settings("fine_tuning", learning_rate=learning_rate, batch_size=batch_size, epochs=epochs)
    if num_classes < 2:
        raise ValueError(f"num_classes is {num_classes}; a random other label needs at least 2")

    def unlearn_fn(
        model: Model, variables: Variables, images: Images, labels: Labels, key: Key, retain: Split | None = None
    ) -> Variables:
        del retain  # Unused: the request alone decides.
        classes = check_request(model, variables, images, labels)
        if classes != num_classes:
            raise ValueError(f"num_classes is {num_classes}; expected {classes}, one for each logit of the model")
        count = len(images)
        label_key, order_key, dropout_key = jax.random.split(key, 3)
        wrong = random_other_labels(label_key, jnp.asarray(labels), num_classes)
        selected, rest = partition_params(variables.params, scope)
        state = variables.state
        step = 0
        for epoch in range(epochs):
            order = np.asarray(jax.random.permutation(jax.random.fold_in(order_key, epoch), count))
            for start in range(0, count, batch_size):
                rows = order[start : start + batch_size]
                selected, state = _step(
                    model.apply,
                    learning_rate,
                    selected,
                    rest,
                    state,
                    images[rows],
                    wrong[rows],
                    jax.random.fold_in(dropout_key, step),
                )
                step += 1
                count_gradients(len(rows))
        result = Variables(merge_params(selected, rest), state)
        return finite("fine_tuning", result, f"take a smaller learning_rate than {learning_rate}")

    return unlearn_fn


@partial(jax.jit, static_argnames="apply")
def _step(
    apply: Any,
    learning_rate: float,
    selected: Params,
    rest: Params,
    state: PyTree,
    images: Images,
    labels: Labels,
    key: Key,
) -> tuple[Params, PyTree]:
    def loss_fn(params: Params) -> tuple[Array, PyTree]:
        logits, new_state = apply(Variables(merge_params(params, rest), state), images, key)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), new_state

    gradients, new_state = jax.grad(loss_fn, has_aux=True)(selected)
    optimizer = optax.sgd(learning_rate)
    updates, _ = optimizer.update(gradients, optimizer.init(selected))
    return optax.apply_updates(selected, updates), new_state
