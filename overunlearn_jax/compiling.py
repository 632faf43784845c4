"""What XLA is told where a training step is compiled for a CPU."""

import functools

import jax
import jax.numpy as jnp

# jaxlib 0.10 hands convolutions, products and sums on a CPU to a library (YNNPACK). Its sums are faster than XLA's own,
# its convolutions are slower where gradients are taken: sums alone go there.
CPU_TRAINING = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}


def training_options() -> dict[str, str]:
    """`compiler_options` of `jax.jit` for a training step; none on a GPU or TPU, or where this jaxlib knows none.

    XLA takes them for a whole program only: a step that is compiled with them cannot be called inside another
    `jax.jit` (`jax.vmap` around it is fine).
    """
    return dict(CPU_TRAINING) if jax.default_backend() == "cpu" and _is_known() else {}


@functools.cache
def _is_known() -> bool:
    """Whether this jaxlib compiles with the options; they are experimental, and may go."""
    try:
        jax.jit(jnp.negative, compiler_options=CPU_TRAINING).lower(jnp.float32(0)).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
