"""What a user is told of the error that ended a run."""

import sys
import traceback

EXPECTED = (ValueError, OSError, RuntimeError, MemoryError)  # they say what was given, what was expected, what to do


def describe_error(error: BaseException) -> str:
    """One line for an error that explains itself.

    Above it stands the traceback of a user's own code, where that failed, or of an error that nobody expected.
    """
    line = f"error: {_words(error)}"
    if getattr(error, "shows_cause", False) and error.__cause__ is not None:
        return "".join(traceback.format_exception(error.__cause__)) + line
    if isinstance(error, EXPECTED) or (isinstance(error, ImportError) and error.name is None):  # none: one of ours
        return line
    line = f"error: {type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError):  # a user's own import is told as theirs: this is a requirement of ours
        line += f": {sys.executable} lacks it; install the package again, pip install -e . in its clone"
    return "".join(traceback.format_exception(error)) + line


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if "RESOURCE_EXHAUSTED" in str(error):  # below it XLA lists its buffers
        return f"the device has no memory left: lower --slots, --batch_size or --width ({str(error).splitlines()[0]})"
    return " ".join(line.strip() for line in str(error).splitlines()) or type(error).__name__
