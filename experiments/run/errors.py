"""What a user is told of the error that ended a run."""

import traceback

EXPECTED = (ValueError, OSError, RuntimeError)  # these say what was given, what was expected and what to do


def describe_error(error: BaseException) -> str:
    """One line for an error that explains itself.

    Above it stands the traceback of a user's own code, where that failed, or of an error that nobody expected.
    """
    if getattr(error, "shows_cause", False) and error.__cause__ is not None:
        return "".join(traceback.format_exception(error.__cause__)) + f"error: {error}"
    if isinstance(error, EXPECTED):
        return f"error: {error}"
    return "".join(traceback.format_exception(error)) + f"error: {type(error).__name__}: {error}"
