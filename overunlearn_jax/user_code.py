"""A user's own function by its name, my_module:my_function: finding it, its errors, and what it returns."""

import hashlib
import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from overunlearn_jax.typed_keys import without_keys
from overunlearn_jax.types import DeletionRefusedError, DivergedError, PyTree


class UserCodeError(ValueError):
    """A user's own code failed: what it raised is the cause, and its traceback is worth showing."""

    shows_cause = True


def import_named(name: str, flag: str = "") -> Any:
    """What `my_module:my_function` names; `flag`, such as "--model=", stands before the name in errors.

    The current folder is looked into as well, after all that Python looks into.

    Raises:
      ValueError: a name that is not there.
      UserCodeError: a module that fails while it is imported.
    """
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if not {here, ""} & {*sys.path}:  # a command's own folder is there in its place; `python -m` has it
        sys.path.append(here)
    words = f"{flag}{name} cannot be imported from {here} or PYTHONPATH"
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

    `expected` is the call that it has to answer. DivergedError and DeletionRefusedError pass: they say something of the
    request, not of the code; and a UserCodeError, which says already whose code failed. A call of `sys.exit` does not
    pass: it would end the run with a status of the function's choice.
    """
    try:
        yield
    except (DivergedError, DeletionRefusedError, UserCodeError):
        raise
    except (Exception, SystemExit) as error:
        raise UserCodeError(f"{name} raised {_told(error)}; it is called as {expected}") from error


def check_form(name: str, returned: PyTree, like: PyTree, advice: str) -> None:
    """Raises ValueError unless what `name` returned has the structure of `like`, and arrays of its shapes and dtypes.

    `like` may hold arrays or `jax.ShapeDtypeStruct` objects.
    """
    like, returned = without_keys(like), without_keys(returned)
    form: Any = jax.tree.structure(like)
    if form != jax.tree.structure(returned):
        raise ValueError(f"{name} returned {_outline(returned)}; expected {_outline(like)}: {advice}")
    for (path, expected), new in zip(jax.tree.leaves_with_path(like), jax.tree.leaves(returned), strict=True):
        array, expected = np.asarray(new), expected if hasattr(expected, "shape") else np.asarray(expected)
        if array.shape != expected.shape or array.dtype != expected.dtype:
            raise ValueError(
                f"{name} returned {_joined(path)} as {array.dtype} of shape {array.shape}; expected {expected.dtype} "
                f"of shape {expected.shape}"
            )


def not_finite(tree: PyTree) -> str:
    """The path of an array that holds NaN or infinity; empty where all are finite."""
    leaves = jax.tree.leaves_with_path(without_keys(tree))
    wrong = (path for path, leaf in leaves if not np.isfinite(np.asarray(leaf)).all())
    return next(map(_joined, wrong), "")


def source_digest(name: str, flag: str = "") -> str:
    """16 hexadecimal digits of the source files that `my_module:my_thing` names.

    Those are the files of the module and of the thing itself: helpers that they import are not seen.
    """
    thing = import_named(name, flag)
    files = dict.fromkeys(map(_file_of, (sys.modules[name.partition(":")[0]], thing)))
    hasher = hashlib.blake2b(digest_size=8)
    for file in filter(None, files):
        hasher.update(Path(file).read_bytes())
    return hasher.hexdigest()


def _file_of(thing: object) -> str | None:
    try:
        return inspect.getsourcefile(inspect.unwrap(thing))  # type: ignore[arg-type]
    except TypeError:  # built in, or an object that is neither module, class nor function
        return None


def _outline(tree: PyTree) -> str:
    paths = [_joined(path) for path, _ in jax.tree.leaves_with_path(tree)]
    listed = ", ".join(paths[:6]) + (", ..." if len(paths) > 6 else "")
    return f"a {type(tree).__name__} of {len(paths)} arrays ({listed})"


def _joined(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: {error}"
