"""httpx and tenacity, of the extra `http`: imported when a client is made, and not before."""

from types import ModuleType


def import_http() -> tuple[ModuleType, ModuleType]:
    """httpx and tenacity. Raises ImportError with the command that installs them."""
    try:
        import httpx
        import tenacity
    except ImportError as error:
        raise ImportError(
            f"a service over HTTP needs httpx and tenacity ({error}): pip install -e '.[http]'"
        ) from error
    return httpx, tenacity
