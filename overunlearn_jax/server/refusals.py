"""What a request is refused with: a status, a code for programs and a sentence for people."""

from typing import Any


class RefusedError(Exception):
    """A request that is refused; the app answers `{"error": {"code": ..., "message": ...}}` with the status.

    `headers` are sent beside it.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}

    def body(self) -> dict[str, Any]:
        """As it is sent."""
        return {"error": {"code": self.code, "message": self.message}}


def invalid(code: str, message: str) -> RefusedError:
    """JSON that can be read and does not say what it should."""
    return RefusedError(422, code, message)
