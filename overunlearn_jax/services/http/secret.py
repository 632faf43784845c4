"""A token that nothing prints: it comes from the environment or a file, and leaves in one header alone."""

import os
from pathlib import Path

HIDDEN = "***"
SHORTEST = 4  # characters; replacing shorter ones would tear other words apart, and they are no secret


class Secret:
    """A text that shows as `***` wherever it is printed, logged or put in an error."""

    def __init__(self, text: str):
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the header of a request."""
        return self._text

    def redact(self, text: str) -> str:
        """`text` with `***` in the secret's place."""
        return text.replace(self._text, HIDDEN) if len(self._text) >= SHORTEST else text

    def __repr__(self) -> str:
        return HIDDEN

    def __reduce__(self) -> tuple[type["Secret"], tuple[str]]:
        raise TypeError("a token is not pickled: read it again where it is needed")


def token_from(*, env: str = "", file: str | Path = "", flag: str = "token") -> Secret | None:
    """The token in an environment variable or a file; None where neither is named.

    Errors name the flags --FLAG_env and --FLAG_file.

    Raises:
      ValueError: both, a variable that is not set, a file that cannot be read or a token that a header cannot hold; no
        error shows the token.
    """
    if env and file:
        raise ValueError(f"--{flag}_env={env} and --{flag}_file={file}: a service has one token, give one of the two")
    if env:
        if env not in os.environ:
            raise ValueError(f"--{flag}_env={env}: no environment variable has this name; expected NAME, not the token")
        return _checked(os.environ[env], f"--{flag}_env={env}")
    if file:
        try:
            text = Path(file).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ValueError(f"--{flag}_file={file} cannot be read ({reason})") from error
        return _checked(text, f"--{flag}_file={file}")
    return None


def _checked(text: str, where: str) -> Secret:
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(f"{where} holds no token; expected one word of printable ASCII characters")
    return Secret(token)
