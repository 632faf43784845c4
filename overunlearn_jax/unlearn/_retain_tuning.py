"""Fine-tuning on the retain set: go on training on what stays, and let the rest fade.

The plainest baseline of the field (as in Golatkar, Achille and Soatto, CVPR 2020). The request only says what to leave
out. Batch statistics stay as they are, as in every method that uses `descend`.
"""

from overunlearn_jax.models import Model
from overunlearn_jax.types import Array, Images, Key, Labels, Split, Variables
from overunlearn_jax.unlearn.call import UnlearnFn, check_request, check_settings, finite, retained
from overunlearn_jax.unlearn.descent import NOTHING, Apply, Step, batches, cross_entropy, descend


def retain_tuning(
    *, learning_rate: float = 1e-2, steps: int = 300, batch_size: int = 64, scope: str = "all"
) -> UnlearnFn:
    """SGD with momentum 0.9 on the mean loss of retained batches, `steps` of them.

    Raises:
      ValueError: settings out of range; from the method itself, a wrong request or without retained data.
      DivergedError: from the method itself, no usable model is left.

    References:
      Golatkar, Achille and Soatto, CVPR 2020.
    """
    check_settings("retain_tuning", learning_rate=learning_rate, steps=steps, batch_size=batch_size)

    def unlearn_fn(
        model: Model, variables: Variables, images: Images, labels: Labels, key: Key, retain: Split | None = None
    ) -> Variables:
        classes = check_request(model, variables, images, labels)
        held = retained("retain_tuning", retain, classes)
        plan = (Step(NOTHING, batch) for batch in batches(key, held.images, held.labels, batch_size, steps))
        result = descend(_objective, model, variables, plan, learning_rate=learning_rate, scope=scope)
        return finite("retain_tuning", result, f"take a smaller learning_rate than {learning_rate}")

    return unlearn_fn


def _objective(apply: Apply, variables: Variables, step: Step, context: object) -> Array:
    del context  # Unused: the retained batch is all there is.
    return cross_entropy(apply, variables, step.retained).mean()
