"""What several runs in one process need to find out once, such as what a victim answers before any request."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Found = TypeVar("Found")


class Shared:
    """Results by what decides them; they live as long as this does."""

    def __init__(self) -> None:
        self._found: dict[Hashable, Any] = {}

    def once(self, key: Hashable, find: Callable[[], Found]) -> Found:
        """What `find` returns, called the first time that `key` is asked for."""
        if key not in self._found:
            self._found[key] = find()
        found: Found = self._found[key]
        return found
