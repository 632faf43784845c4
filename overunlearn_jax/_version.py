"""The version of this package: the one in pyproject.toml, as it was installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("overunlearn_jax")
except PackageNotFoundError:  # a checkout on PYTHONPATH that was never installed
    __version__ = "0+not.installed"
