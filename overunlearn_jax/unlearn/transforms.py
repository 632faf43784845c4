"""Unlearning steps as optax transformations of a request's gradient; chain them with any other."""

import optax

from overunlearn_jax.types import Array


def first_order_transform(tau: float | Array) -> optax.GradientTransformation:
    """theta_u = theta - tau * difference (equation 13), `difference` being what `gradient_difference` returns.

    A bounded step, for instance: `optax.chain(optax.clip_by_global_norm(10.0), first_order_transform(1e-3))`.
    """
    return optax.scale(-tau)
