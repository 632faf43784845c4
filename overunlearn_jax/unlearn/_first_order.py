"""First-order unlearning (Warnecke et al., NDSS 2023; equations 12 and 13), one step:

theta_u = theta - tau * (sum grad l(x~, y) - sum grad l(x, y)), summed over the submitted (x, y).
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from overunlearn_jax.models import Model
from overunlearn_jax.types import Array, Bounds, Images, Key, Labels, Params, Split, Variables
from overunlearn_jax.unlearn.call import UnlearnFn, check_request, check_settings, finite
from overunlearn_jax.unlearn.partition import merge_params, partition_params
from overunlearn_jax.unlearn.replacements import replacement_images
from overunlearn_jax.unlearn.sample_gradients import clipped_difference
from overunlearn_jax.unlearn.transforms import first_order_transform
from overunlearn_jax.unlearn.work import count_gradients


def first_order(
    tau: float | Array,
    *,
    bounds: Bounds,
    replacement: str = "none",
    scope: str = "head",
    last_partial_batch_only: bool = False,
    batch_size: int = 256,
    pad: bool = False,
    clip: optax.GradientTransformation | None = None,
    clip_each: float = math.inf,
) -> UnlearnFn:
    """One step of size `tau` along the request's gradient difference.

    Args:
      tau: the unlearning rate, 0 or more; a scalar array under `jax.vmap` (see `sweep_tau`).
      bounds: of the images, for the replacement.
      replacement: "none" is gradient ascent on the request; "noise", "one_noise", "black", "white": see `replacements`.
      scope: the parameters that move: "head", "all" or a regular expression (see `partition`).
      last_partial_batch_only: the replacement counts only for samples in a last batch of fewer than `batch_size`, as
        in the authors' public code, where the replacement's gradient is lost in every full batch.
      batch_size: samples a gradient is summed over at a time; changes the result only with the setting above.
      pad: whether a batch is filled up to the next power of two with samples that do not count, so that requests of
        any size share a few compiled programs. Their sums are then rounded otherwise: 7e-7 of the largest weight's
        change was the most seen on a CPU, and no run that was made without it is repeated bit for bit. For models
        whose answer to an image does not depend on the others, as when deployed.
      clip: what the sum of the gradients goes through before the step, such as `optax.clip_by_global_norm(10.0)`, which
        bounds the step by tau * 10; see `defences.bounds.step_bound`.
      clip_each: L2 norm that each sample's own share of the sum is clipped to; infinity: it is not, bit for bit. Costs
        the time of one gradient a sample, for models as with `pad`, which it replaces.

    Raises:
      ValueError: settings out of range; from the method itself, a wrong request.
      DivergedError: from the method itself, no usable model is left.

    References:
      Warnecke et al., NDSS 2023; Hu et al., NDSS 2024, equations (12) and (13).
    """
    check_settings("first_order", tau=tau, batch_size=batch_size, clip_each=clip_each)
    step = first_order_transform(tau)
    transform = step if clip is None else optax.chain(clip, step)

    def unlearn_fn(
        model: Model, variables: Variables, images: Images, labels: Labels, key: Key, retain: Split | None = None
    ) -> Variables:
        del retain  # Unused: the request alone decides.
        check_request(model, variables, images, labels)
        selected, rest = partition_params(variables.params, scope)
        others = replacement_images(replacement, key, images, bounds)
        difference = None
        for start in range(0, len(images), batch_size):
            rows = slice(start, start + batch_size)
            lost = last_partial_batch_only and start + batch_size <= len(images)
            batch = (images[rows], None if others is None or lost else others[rows], labels[rows])
            of_model = (model.apply, selected, rest, variables.state)
            if clip_each < math.inf:
                part = clipped_difference(*of_model, *batch, clip_each)
            else:
                part = gradient_difference(*of_model, *(padded(batch) if pad else (*batch, None)))
            count_gradients(len(labels[rows]) * (1 if others is None or lost else 2))
            difference = part if difference is None else jax.tree.map(jnp.add, difference, part)
        updates, _ = transform.update(difference, transform.init(selected), selected)
        moved = variables._replace(params=merge_params(optax.apply_updates(selected, updates), rest))
        return finite("first_order", moved, f"take a smaller tau than {tau}")

    return unlearn_fn


def sweep_tau(
    taus: Array | np.ndarray,
    model: Model,
    variables: Variables,
    images: Images,
    labels: Labels,
    key: Key,
    **settings: object,
) -> Variables:
    """First-order unlearning for every tau in one vmapped call; the gradient is computed once.

    Args:
      taus: shape=(t,), rates, 0 or more.
      model: pure functions.
      variables: its weights.
      images: shape=(n, h, w, c), dtype=float32: what is submitted.
      labels: shape=(n,), integers.
      key: of the replacement.
      **settings: those of `first_order`.

    Returns:
      Variables whose params have a leading axis t.

    Raises:
      ValueError: what the step with one of the taus would raise. There is no DivergedError: where one tau is so large
        that its weights overflow, those are infinite, and the others stand.
    """
    for tau in taus:
        check_settings("first_order", tau=tau)

    def at(tau: Array) -> Params:
        return first_order(tau, **settings)(model, variables, images, labels, key).params  # type: ignore[arg-type]

    return variables._replace(params=jax.vmap(at)(jnp.asarray(taus, jnp.float32)))


def padded(
    batch: tuple[Images, Images | None, Labels],
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray]:
    """A batch of n samples filled up with its first one to the next power of two, and which of them count.

    Examples:
      >>> padded((np.zeros((3, 2, 2, 1)), None, np.array([1, 2, 3])))[2:]
      (array([1, 2, 3, 1]), array([ True,  True,  True, False]))
    """
    count = len(batch[2])
    size = 1 << (count - 1).bit_length()
    rows = np.where(np.arange(size) < count, np.arange(size), 0)
    images, others, labels = (None if part is None else np.asarray(part)[rows] for part in batch)
    assert images is not None  # a batch has images and labels
    assert labels is not None
    return images, others, labels, np.arange(size) < count


@partial(jax.jit, static_argnames="apply")
def gradient_difference(
    apply: Callable[..., tuple[Array, object]],
    selected: Params,
    rest: Params,
    state: object,
    images: Images,
    others: Images | None,
    labels: Labels,
    counted: Array | np.ndarray | None = None,
) -> Params:
    """Gradient of sum l(x~_i, y_i) - sum l(x_i, y_i) in the selected parameters, without dropout.

    Args:
      apply: of a `Model`.
      selected: the parameters that move; see `partition_params`.
      rest: the others.
      state: what the model tracks.
      images: shape=(n, h, w, c), dtype=float32: the x_i.
      others: shape=(n, h, w, c): the x~_i; None: their sum is left out.
      labels: shape=(n,), integers: the y_i.
      counted: shape=(n,), booleans: the samples that the sums are over; None: all.

    Returns:
      The form of `selected`.

    References:
      Warnecke et al., NDSS 2023; Hu et al., NDSS 2024, equations (12) and (13).
    """

    def losses(params: Params, inputs: Images) -> Array:
        logits, _ = apply(Variables(merge_params(params, rest), state), inputs, None)
        found = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return found if counted is None else jnp.where(counted, found, 0)

    def objective(params: Params) -> Array:
        replacement = 0.0 if others is None else jnp.sum(losses(params, others))
        return replacement - jnp.sum(losses(params, images))

    with jax.default_matmul_precision("highest"):
        return jax.grad(objective)(selected)
