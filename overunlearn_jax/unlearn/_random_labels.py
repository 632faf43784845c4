"""Random labels with retained data: train on the request under wrong labels, and on retained data under its own.

Golatkar, Achille and Soatto, CVPR 2020 (confusion); the form with retained data is the one that Fan et al., ICLR 2024,
build SalUn on. `fine_tuning` is the paper's form, on the request alone.
"""

import jax
import jax.numpy as jnp

from overunlearn_jax.models import Model
from overunlearn_jax.types import Array, Images, Key, Labels, Params, Split, Variables
from overunlearn_jax.unlearn._fine_tuning import random_other_labels
from overunlearn_jax.unlearn.call import UnlearnFn, check_request, check_settings, finite, retained
from overunlearn_jax.unlearn.descent import Apply, Batch, Step, cross_entropy, descend, pairs


def random_labels(
    *,
    learning_rate: float = 1e-3,
    steps: int = 100,
    batch_size: int = 64,
    scope: str = "all",
) -> UnlearnFn:
    """SGD on the mean loss of a submitted batch under wrong labels plus that of a retained batch.

    Each submitted sample has one wrong label throughout.

    Args:
      learning_rate: of SGD with momentum 0.9.
      steps: pairs of batches in all.
      batch_size: samples a batch; all of a smaller request.
      scope: the parameters that move, see `partition`.

    Raises:
      ValueError: settings out of range; from the method itself, a wrong request or without retained data.
      DivergedError: from the method itself, no usable model is left.

    References:
      Golatkar, Achille and Soatto, CVPR 2020.
    """
    check_settings("random_labels", learning_rate=learning_rate, steps=steps, batch_size=batch_size)

    def unlearn_fn(
        model: Model, variables: Variables, images: Images, labels: Labels, key: Key, retain: Split | None = None
    ) -> Variables:
        classes = check_request(model, variables, images, labels)
        held = retained("random_labels", retain, classes)
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
        )
        return finite("random_labels", after, f"take a smaller learning_rate than {learning_rate}")

    return unlearn_fn


def learn_wrong_labels(
    model: Model,
    variables: Variables,
    submitted: Batch,
    stays: Batch,
    classes: int,
    key: Key,
    *,
    learning_rate: float,
    steps: int,
    batch_size: int,
    scope: str,
    mask: Params | None = None,
) -> Variables:
    """The descent of `random_labels` over `classes` labels; `mask` says which weights move, see `descend`."""
    label_key, submitted_key, retained_key = jax.random.split(key, 3)
    wrong = random_other_labels(label_key, jnp.asarray(submitted.labels), classes)
    plan = pairs(submitted_key, submitted._replace(labels=wrong), retained_key, stays, batch_size, steps)
    return descend(_objective, model, variables, plan, learning_rate=learning_rate, scope=scope, mask=mask)


def _objective(apply: Apply, variables: Variables, step: Step, context: object) -> Array:
    del context  # Unused: the labels say it all.
    submitted = cross_entropy(apply, variables, step.submitted).mean()
    return submitted + cross_entropy(apply, variables, step.retained).mean()
