"""The devices that JAX computes on."""

import os


def check_devices() -> None:
    """Starts JAX. Raises ValueError where it has none of the devices that JAX_PLATFORMS asks for."""
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter for cuda without a GPU
        asked = os.environ.get("JAX_PLATFORMS")
        if not asked:
            raise
        reason = str(error).partition(" (set JAX_PLATFORMS")[0]
        because = f" ({reason})" if reason else ""
        raise ValueError(
            f"JAX_PLATFORMS={asked}, and JAX finds no such device here{because}: unset JAX_PLATFORMS for whatever "
            "there is, or install JAX for the device: pip install -e '.[gpu]'"
        ) from error
