"""What a service checks of a request before it unlearns it."""

import jax
import numpy as np

from overunlearn_jax.models import Model
from overunlearn_jax.types import Images, Labels, Variables

_logits = jax.jit(lambda apply, variables, images: apply(variables, images, None)[0], static_argnums=0)  # traced once


def check_request(model: Model, variables: Variables, images: Images, labels: Labels) -> None:
    """Raises ValueError for an empty request, images that are not finite, or labels that the model has no logit for."""
    images, labels = np.asarray(images), np.asarray(labels)
    if len(images) == 0:
        raise ValueError("the request is empty: there is nothing to unlearn")
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels are {labels.dtype} of shape {labels.shape}; expected {len(images)} integers, one an image"
        )
    if not np.isfinite(images).all():
        raise ValueError("the request's images hold NaN or infinity; expected numbers inside the data set's bounds")
    logits = jax.eval_shape(lambda first: _logits(model.apply, variables, first), images[:1])
    if labels.min() < 0 or labels.max() >= logits.shape[-1]:
        raise ValueError(f"labels lie in {labels.min()} ... {labels.max()}; expected 0 ... {logits.shape[-1] - 1}")
