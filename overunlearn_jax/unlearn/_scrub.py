"""SCRUB: be unlike the teacher, which is the model as it was, on the request, and like it elsewhere.

Kurmanji et al., "Towards Unbounded Machine Unlearning", NeurIPS 2023. Descent on retained data and ascent on the
request take turns; the last rounds only descend, and mend what the ascent broke. A round of the paper ascends and then
descends; here descent comes first: the student starts as the teacher, where their distance is least and has no slope to
climb, so the first ascent would be lost. Two more things differ from the authors' code: there is no temperature (they
soften both distributions with T = 4 and multiply by T squared), and the ascent, too, runs in evaluation mode.
"""

import itertools
import math

import jax
import jax.numpy as jnp

from overunlearn_jax.models import Model
from overunlearn_jax.types import Array, Images, Key, Labels, Split, Variables
from overunlearn_jax.unlearn.call import UnlearnFn, check_request, check_settings, finite, retained
from overunlearn_jax.unlearn.descent import NOTHING, Apply, Batch, Step, batches, cross_entropy, descend


def scrub(
    *,
    distillation: float = 0.5,
    rounds: int = 5,
    ascents: int = 3,
    retain_steps: int = 20,
    learning_rate: float = 1e-3,
    batch_size: int = 64,
    scope: str = "all",
) -> UnlearnFn:
    """`rounds` of descent on retained data, the first of them followed by ascent on KL(teacher || student).

    Args:
      distillation: weight of KL(teacher || student) beside the mean loss in the descent.
      rounds: of descent.
      ascents: how many of the first rounds end with one pass of ascent over the request; fewer than `rounds`.
      retain_steps: retained batches in each round.
      learning_rate: of SGD with momentum 0.9, which starts anew in each phase.
      batch_size: samples a batch, at most: those of an ascent share the request out evenly, and leave out fewer samples
        than there are batches.
      scope: the parameters that move, see `partition`.

    Raises:
      ValueError: as many ascents as rounds and settings out of range; from the method itself, a wrong request or
        without retained data.
      DivergedError: from the method itself, no usable model is left.

    References:
      Kurmanji et al., NeurIPS 2023.
    """
    check_settings(
        "scrub",
        distillation=distillation,
        rounds=rounds,
        ascents=ascents,
        retain_steps=retain_steps,
        learning_rate=learning_rate,
        batch_size=batch_size,
    )
    if ascents >= max(rounds, 1):
        raise ValueError(f"ascents is {ascents}; expected 0 or more, and fewer than the {rounds} rounds")

    def unlearn_fn(
        model: Model, variables: Variables, images: Images, labels: Labels, key: Key, retain: Split | None = None
    ) -> Variables:
        classes = check_request(model, variables, images, labels)
        held = retained("scrub", retain, classes)
        submitted_key, retained_key = jax.random.split(key)
        passes = math.ceil(len(labels) / batch_size)
        size = len(labels) // passes
        submitted = batches(submitted_key, images, labels, size, ascents * passes)
        stays = batches(retained_key, held.images, held.labels, batch_size, rounds * retain_steps)
        student = variables
        for number in range(rounds):
            back = (Step(NOTHING, batch) for batch in itertools.islice(stays, retain_steps))
            context = (variables, distillation)
            student = descend(_alike, model, student, back, context, learning_rate=learning_rate, scope=scope)
            if number < ascents:
                away = (Step(batch, NOTHING) for batch in itertools.islice(submitted, passes))
                student = descend(_unlike, model, student, away, variables, learning_rate=learning_rate, scope=scope)
        return finite("scrub", student, f"take a smaller learning_rate than {learning_rate}, or fewer ascents")

    return unlearn_fn


def distance_to_teacher(apply: Apply, teacher: Variables, student: Variables, batch: Batch) -> Array:
    """Mean KL(teacher || student) of the predictions, in nats."""
    known = jax.nn.log_softmax(apply(teacher, batch.images, None)[0])
    answered = jax.nn.log_softmax(apply(student, batch.images, None)[0])
    return jnp.sum(jnp.exp(known) * (known - answered), axis=-1).mean()


def _unlike(apply: Apply, variables: Variables, step: Step, teacher: Variables) -> Array:
    return -distance_to_teacher(apply, teacher, variables, step.submitted)


def _alike(apply: Apply, variables: Variables, step: Step, context: tuple[Variables, Array]) -> Array:
    teacher, distillation = context
    near = distance_to_teacher(apply, teacher, variables, step.retained)
    return cross_entropy(apply, variables, step.retained).mean() + distillation * near
