"""Flags parsed by absl, with errors of one line that name the flag, and a look at flagfiles before."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl import flags

import experiments
from overunlearn_jax.spelling import did_you_mean

HELP = ("-h", "-help", "--help", "-helpshort", "--helpshort", "-?", "--?")
FLAGFILES = Path(experiments.__file__).parent / "flagfiles"
_COMMENT = re.compile(r"(^|\s)(#|//)")  # absl drops lines that begin with one, and takes any other as part of a value


def wants_help(arguments: Sequence[str]) -> bool:
    """Whether a --help is among the arguments."""
    return any(argument in HELP for argument in _before_dashes(arguments))


def parse(values: flags.FlagValues, arguments: Sequence[str]) -> list[str]:
    """Parses the command line, the program's name first; returns the name and the arguments that are no flags.

    Flags and arguments may stand in any order. Raises ValueError for what cannot be parsed, in one line.
    """
    values.set_gnu_getopt(True)
    try:
        _check_flagfiles(values, arguments[1:])
        return list(values(arguments))
    except flags.Error as error:
        raise ValueError(f"{_told(error)} --help lists the flags") from error


def _check_flagfiles(values: flags.FlagValues, arguments: Sequence[str]) -> None:
    """Raises ValueError for a flagfile that cannot be read, and for a comment behind a value in one."""
    for path in _flagfiles(arguments):
        try:
            lines = values.read_flags_from_files([f"--flagfile={path}"])
        except (flags.Error, UnicodeDecodeError) as error:
            reason = error.__context__.strerror if isinstance(error.__context__, OSError) else "it is no text"
            raise ValueError(_unreadable(path, error, reason)) from error
        for line in lines:
            if found := _COMMENT.search(line):
                raise ValueError(
                    f"--flagfile={path} has the line {line!r}, and what follows {found[2]} would be part of the value: "
                    f"give a comment a line of its own that begins with {found[2]}; a value with {found[2]} in it goes "
                    "on the command line"
                )


def _unreadable(path: str, error: BaseException, reason: str | None) -> str:
    inner = error.__context__.filename if isinstance(error.__context__, OSError) else path
    nested = f" names {inner}, which" if inner != os.path.expanduser(path) else ""
    names = sorted(each.stem for each in FLAGFILES.glob("*.cfg"))
    return (
        f"--flagfile={path}{nested} cannot be read ({reason}): give a path from the current folder; those that come "
        f"along lie in {FLAGFILES}{did_you_mean(Path(str(inner)).stem, names)}"
    )


def _flagfiles(arguments: Sequence[str]) -> Iterator[str]:
    """The values of --flagfile."""
    rest = iter(_before_dashes(arguments))
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name in ("--flagfile", "-flagfile"):
            path = value.strip() if equals else next(rest, "")
            if path:
                yield path


def _before_dashes(arguments: Sequence[str]) -> Sequence[str]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _told(error: flags.Error) -> str:
    words = " ".join(str(error).split())
    told = re.sub(r"\. Did you mean: (.*) \?$", r"; did you mean --\1?", words)
    return told if told.endswith("?") else f"{told};"
