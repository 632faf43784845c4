"""What several runs in one process need to find out once, such as what a victim answers before any request."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Found = TypeVar("Found")


class Memo:
    """Results by what decides them; they live as long as this does."""

    def __init__(self) -> None:
        self._results: dict[Hashable, Any] = {}

    def get(self, key: Hashable, compute: Callable[[], Found]) -> Found:
        """What `compute` returns, called the first time that `key` is asked for."""
        if key not in self._results:
            self._results[key] = compute()
        result: Found = self._results[key]
        return result
