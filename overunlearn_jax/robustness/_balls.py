"""Balls around images, in L-infinity and L2: draws from them, projections into them, steps along a gradient."""

from functools import partial

import jax
import jax.numpy as jnp

from overunlearn_jax.types import Array, Key

NORMS = ("linf", "l2")
_PIXELS = (-3, -2, -1)


def check_ball(norm: str, radius: float) -> None:
    """Raises ValueError for a norm that is not there, and for a radius that is negative or not finite."""
    if norm not in NORMS:
        raise ValueError(f"norm is {norm!r}; expected one of {', '.join(NORMS)}")
    if not 0 <= radius < float("inf"):
        raise ValueError(f"radius is {radius}; expected a finite distance from 0, in the units of the pixels")


def lengths(changes: Array) -> Array:
    """L2 norms of changes (n, h, w, c), shape (n, 1, 1, 1); never 0, so that they divide."""
    norms = jnp.sqrt(jnp.sum(jnp.square(changes), axis=_PIXELS, keepdims=True))
    return jnp.maximum(norms, jnp.finfo(changes.dtype).tiny)


def projected(changes: Array, norm: str, radius: Array | float) -> Array:
    """The nearest changes (n, h, w, c) that are no longer than `radius`."""
    if norm == "linf":
        return jnp.clip(changes, -radius, radius)
    return changes * jnp.minimum(1, radius / lengths(changes))


def steepest(gradients: Array, norm: str) -> Array:
    """The direction of length 1 in which a linear function of these gradients (n, h, w, c) rises the most."""
    return jnp.sign(gradients) if norm == "linf" else gradients / lengths(gradients)


@partial(jax.jit, static_argnums=(1, 2))
def drawn(keys: Key, shape: tuple[int, ...], norm: str, radius: Array | float) -> Array:
    """One change for each key (n,), uniform in the ball: shape=(n, *shape), dtype=float32."""

    def one(key: Key) -> Array:
        if norm == "linf":
            return jax.random.uniform(key, shape, minval=-1, maxval=1)
        direction_key, length_key = jax.random.split(key)
        direction = jax.random.normal(direction_key, shape)
        pixels = direction.size
        return direction / jnp.linalg.norm(direction) * jax.random.uniform(length_key) ** (1 / pixels)

    return radius * jax.vmap(one)(keys)
