"""Unlearning steps as optax transformations of a request's gradient; chain them with any other."""

import optax

from overunlearn_jax.types import Array


def first_order_transform(tau: float | Array) -> optax.GradientTransformation:
    """theta_u = theta - tau * difference, `difference` being what `gradient_difference` returns.

    A bounded step, for instance: `optax.chain(optax.clip_by_global_norm(10.0), first_order_transform(1e-3))`.

    Args:
      tau: the unlearning rate, a scalar.

    References:
      Warnecke et al., NDSS 2023; Hu et al., NDSS 2024, equation (13).
    """
    return optax.scale(-tau)
