"""The reference estimator: exact derivatives of what ZOO minimises, read off a victim whose weights are known.

For checks only. An attack never has these: it sees a victim through a black box.
"""

import jax
import jax.numpy as jnp


def exact_loss(variable, predict, original, label, target, settings):
    """||x(w) - x_0||^2 + c * margin(log F(x(w))) at a point w of the search space, shape (h, w, c)."""
    lower, upper = settings.bounds
    image = variable if settings.space == "box" else (lower + upper) / 2 + (upper - lower) / 2 * jnp.tanh(variable)
    logs = jnp.log(predict(image[None])[0])
    if settings.targeted:
        margin = jnp.delete(logs, target, assume_unique_indices=True).max() - logs[target]
    else:
        margin = logs[label] - jnp.delete(logs, label, assume_unique_indices=True).max()
    return jnp.sum((image - original) ** 2) + settings.margin_weight * margin


def exact_first(variable, *args):
    """The gradient in the search space, shape (h, w, c)."""
    return jax.grad(exact_loss)(variable, *args)


def exact_hessian(variable, *args):
    """All second derivatives in the search space, shape (h, w, c, h, w, c)."""
    return jax.hessian(exact_loss)(variable, *args)
