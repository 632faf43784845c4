"""A user's own function by its name, my_module:my_function: finding it, and telling its errors from ours."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from overunlearn_jax.types import DivergedError


class UserCodeError(ValueError):
    """A user's own code failed: what it raised is the cause, and its traceback is worth showing."""

    shows_cause = True


def import_named(name: str, flag: str = "") -> Any:
    """What `my_module:my_function` names; `flag`, such as "--model=", stands before the name in errors.

    Raises ValueError for a name that is not there, and UserCodeError for a module that fails while it is imported.
    """
    module, _, attribute = name.partition(":")
    words = f"{flag}{name} cannot be imported from here"
    try:
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:
        theirs = bool(module) and not isinstance(error, AttributeError)
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            theirs = False  # it is the named module itself that is missing
        kind = UserCodeError if theirs else ValueError
        raise kind(f"{words}: {_told(error)}; expected my_module:my_function") from error


@contextmanager
def running(name: str, expected: str) -> Iterator[None]:
    """Around a call of the user's function `name`: what it raises becomes a UserCodeError.

    `expected` is the call that it has to answer. DivergedError passes: it says something of the request, not of the
    code. A call of `sys.exit` does not pass: it would end the run with a status of the function's choice.
    """
    try:
        yield
    except DivergedError:
        raise
    except (Exception, SystemExit) as error:
        raise UserCodeError(f"{name} raised {_told(error)}; it is called as {expected}") from error


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: {error}"
