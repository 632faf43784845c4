"""Selective synaptic dampening: shrink the weights that matter far more to the request than to what stays; no training.

Foster, Schoepf and Brintrup, AAAI 2024. A weight matters as much as the mean squared gradient of its samples' losses
says: the diagonal of the empirical Fisher information.

The paper compares with the importance to all n training samples, computed before any request; here it is that to the
retained ones alone. For an honest request, whose m samples are among the n, a mean over all is the retained mean but
for their share m / n, so the paper's alpha chooses the weights that alpha * (1 - m / n) / (1 - alpha * m / n) chooses
here: 11 in place of 10 where a hundredth is forgotten, and nearly the same for a smaller share. (From alpha = n / m on,
the paper's chooses none.) For the same reason the paper's factor of a weight is at least lambda * m / n, where it can
be 0 here. A changed image is not among the n, its original is: none of this then holds. Ten retained samples of
importance 1, an original of 0 and its copy of 50: the paper's mean over all is 10 / 11, and alpha = n / m = 11 dampens.

The authors' public code squares the gradient of a batch's mean loss, not each sample's as their equation does. The
gradients of a request of one class point the same way more than those of mixed batches, so their ratios are larger, and
an alpha from there touches fewer weights here.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.models import Model
from overunlearn_jax.types import Array, DivergedError, Images, Key, Labels, Params, PyTree, Split, Variables
from overunlearn_jax.unlearn.call import UnlearnFn, check_request, check_settings, retained
from overunlearn_jax.unlearn.descent import Apply, Batch, batches, cross_entropy
from overunlearn_jax.unlearn.partition import merge_params, partition_params
from overunlearn_jax.unlearn.work import count_gradients
from overunlearn_jax.user_code import not_finite

CHUNK = 16  # samples whose gradients are in memory together


def selective_dampening(
    *,
    selection: float = 10.0,
    dampening: float = 1.0,
    retain_samples: int = 2000,
    scope: str = "all",
    most_shrunk: float = 1.0,
) -> UnlearnFn:
    """Shrinks every weight whose importance to the request is more than `selection` times that to retained data.

    It is multiplied by min(1, dampening * importance to retained data / importance to the request).

    Args:
      selection: the paper's alpha; the larger, the fewer weights are touched.
      dampening: the paper's lambda; the smaller, the more each is shrunk.
      retain_samples: retained samples that the importance is estimated from, drawn at random.
      scope: the parameters that may shrink, see `partition`.
      most_shrunk: share of the weights in `scope` that may shrink, at most, a defence of this package: of more that are
        selected, those with the largest ratio of the two importances do. 1: all that are selected; 0: none.

    Raises:
      ValueError: numbers that are not positive; from the method itself, a wrong request or without retained data.
      DivergedError: from the method itself, where a sample's gradient is not finite.

    References:
      Foster et al., AAAI 2024.
    """
    check_settings(
        "selective_dampening",
        selection=selection,
        dampening=dampening,
        retain_samples=retain_samples,
        most_shrunk=most_shrunk,
    )

    def unlearn_fn(
        model: Model, variables: Variables, images: Images, labels: Labels, key: Key, retain: Split | None = None
    ) -> Variables:
        classes = check_request(model, variables, images, labels)
        held = retained("selective_dampening", retain, classes)
        [drawn] = batches(key, held.images, held.labels, retain_samples, 1)
        selected, rest = partition_params(variables.params, scope)
        to_request = importance(model, variables, Batch(images, labels), scope=scope)
        to_retained = importance(model, variables, drawn, scope=scope)
        if not_finite((to_request, to_retained)):  # no weight would look important, and none would shrink
            raise DivergedError("selective_dampening: a gradient is not finite; the model has no slope at some sample")

        chosen = jax.tree.map(lambda request, stays: request > selection * stays, to_request, to_retained)
        if most_shrunk < 1:
            chosen = most_important(chosen, to_request, to_retained, most_shrunk)

        def shrunk(weight: Array, request: Array, stays: Array, shrinks: Array) -> Array:
            factor = jnp.minimum(1.0, dampening * stays / jnp.where(request > 0, request, 1.0))
            return jnp.where(shrinks, weight * factor, weight)

        params = jax.tree.map(shrunk, selected, to_request, to_retained, chosen)
        return variables._replace(params=merge_params(params, rest))

    return unlearn_fn


def most_important(chosen: Params, to_request: Params, to_retained: Params, share: float) -> Params:
    """Those of the `chosen` weights, booleans, that matter most to the request beside what stays.

    At most floor(`share` * all weights) are left. Where ratios are equal, as those of weights that matter to nothing
    that stays, the larger importance to the request decides, then the position.
    """
    leaves, form = jax.tree.flatten(chosen)
    flat, request, stays = (
        np.concatenate([np.ravel(np.asarray(leaf)) for leaf in jax.tree.leaves(tree)])
        for tree in (chosen, to_request, to_retained)
    )
    most = math.floor(share * len(flat) + 1e-9)  # 0.3 of 10 weights are 3
    rows = np.flatnonzero(flat)
    if len(rows) <= most:
        return chosen
    ratio = np.divide(
        request[rows], stays[rows], out=np.full(len(rows), np.inf), where=stays[rows] > 0, dtype=np.float64
    )
    kept = np.zeros(len(flat), bool)
    kept[rows[np.lexsort((-request[rows], -ratio))[:most]]] = True
    parts = np.split(kept, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return jax.tree.unflatten(form, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)])


def importance(model: Model, variables: Variables, samples: Batch, *, scope: str = "all") -> Params:
    """Mean over the samples of the squared gradient of each one's own loss, for every weight in `scope`."""
    selected, rest = partition_params(variables.params, scope)
    total = jax.tree.map(jnp.zeros_like, selected)
    count_gradients(len(samples.labels))
    for start in range(0, len(samples.labels), CHUNK):
        chunk = Batch(*(jnp.asarray(part[start : start + CHUNK]) for part in samples))
        total = jax.tree.map(jnp.add, total, _squared(model.apply, selected, rest, variables.state, chunk))
    return jax.tree.map(lambda leaf: leaf / len(samples.labels), total)


@partial(jax.jit, static_argnums=0)
def _squared(apply: Apply, selected: Params, rest: Params, state: PyTree, chunk: Batch) -> Params:
    def loss(params: Params, image: Array, label: Array) -> Array:
        return cross_entropy(apply, Variables(merge_params(params, rest), state), Batch(image[None], label[None]))[0]

    gradients = jax.vmap(jax.grad(loss), (None, 0, 0))(selected, *chunk)
    return jax.tree.map(lambda leaf: jnp.sum(leaf**2, axis=0), gradients)
