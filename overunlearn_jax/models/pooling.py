"""Max pooling for training: the same numbers as Flax's, with a gradient that is cheap on a CPU."""

import jax.numpy as jnp

from overunlearn_jax.types import Array


def max_pool_2x2(x: Array) -> Array:
    """The largest of every 2x2 pixels; an odd last row or column is left out.

    Answers and gradients are those of `flax.linen.max_pool(x, (2, 2), (2, 2))`: of equal pixels the first takes all of
    the gradient, and NaN wins. XLA takes that one's gradient on a CPU by way of four integer arrays as large as the
    images, which is most of pooling's time there; comparing four views needs none.

    Args:
      x: shape=(n, h, w, c).

    Returns:
      shape=(n, h // 2, w // 2, c).

    Examples:
      >>> max_pool_2x2(jnp.arange(16.0).reshape(1, 4, 4, 1)).ravel().tolist()
      [5.0, 7.0, 13.0, 15.0]
    """
    n, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2].reshape(n, height // 2, 2, width // 2, 2, channels)
    upper, lower = (_larger(x[:, :, row, :, 0], x[:, :, row, :, 1]) for row in range(2))
    return _larger(upper, lower)


def _larger(first: Array, second: Array) -> Array:
    return jnp.where((first >= second) | jnp.isnan(first), first, second)
