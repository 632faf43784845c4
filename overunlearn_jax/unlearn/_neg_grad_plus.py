"""NegGrad+: ascend on the request and descend on retained data at once (Kurmanji et al., NeurIPS 2023)."""

import jax

from overunlearn_jax.models import Model
from overunlearn_jax.types import Array, Images, Key, Labels, Split, Variables
from overunlearn_jax.unlearn.call import UnlearnFn, check_request, check_settings, finite, retained
from overunlearn_jax.unlearn.descent import Apply, Batch, Step, cross_entropy, descend, pairs


def neg_grad_plus(
    *,
    weight: float = 0.95,
    learning_rate: float = 1e-3,
    steps: int = 100,
    batch_size: int = 64,
    scope: str = "all",
) -> UnlearnFn:
    """SGD on weight * (mean loss of a retained batch) - (1 - weight) * (mean loss of a submitted batch).

    At weight 1 it is training on the retained data, at 0 unbounded ascent on the request.

    Args:
      weight: of the retained data, from 0 to 1.
      learning_rate: of SGD with momentum 0.9.
      steps: pairs of batches in all.
      batch_size: samples a batch; all of a smaller request.
      scope: the parameters that move, see `partition`.

    Raises:
      ValueError: another weight and settings out of range; from the method itself, a wrong request or without retained
        data.
      DivergedError: from the method itself, no usable model is left.

    References:
      Kurmanji et al., NeurIPS 2023.
    """
    check_settings("neg_grad_plus", learning_rate=learning_rate, steps=steps, batch_size=batch_size)
    if not 0 <= weight <= 1:
        raise ValueError(f"weight is {weight}; expected the retained data's share, from 0 to 1")

    def unlearn_fn(
        model: Model, variables: Variables, images: Images, labels: Labels, key: Key, retain: Split | None = None
    ) -> Variables:
        classes = check_request(model, variables, images, labels)
        held = retained("neg_grad_plus", retain, classes)
        keys = jax.random.split(key)
        stays = Batch(held.images, held.labels)
        plan = pairs(keys[0], Batch(images, labels), keys[1], stays, batch_size, steps)
        result = descend(_objective, model, variables, plan, weight, learning_rate=learning_rate, scope=scope)
        return finite("neg_grad_plus", result, f"take a smaller learning_rate than {learning_rate}, or a larger weight")

    return unlearn_fn


def _objective(apply: Apply, variables: Variables, step: Step, weight: Array) -> Array:
    keep = cross_entropy(apply, variables, step.retained).mean()
    return weight * keep - (1 - weight) * cross_entropy(apply, variables, step.submitted).mean()
