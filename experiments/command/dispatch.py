"""`overunlearn SUBCOMMAND ...`: which program is meant, and what all of them are."""

import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

from experiments.command.benchmarks import BENCHMARKS
from experiments.command.launch import launch
from experiments.command.subcommands import ALONE, SUBCOMMANDS, Subcommand
from experiments.command.wrapping import entry, terminal_width

NAME = "overunlearn"
WRONG = 2  # exit status of a sub-command that is none
HELP = ("-h", "-help", "--help", "help")
BENCH = "Measures speed: of the attack, of cheaper searches, of SISA."


def dispatch(typed: Sequence[str]) -> NoReturn:
    """Starts what the command line asks for, and leaves Python."""
    if typed and typed[0] in SUBCOMMANDS:
        launch(SUBCOMMANDS[typed[0]], f"{NAME} {typed[0]}", typed[1:])
    if typed and typed[0] == "bench":
        if len(typed) > 1 and typed[1] in BENCHMARKS:
            launch(BENCHMARKS[typed[1]], f"{NAME} bench {typed[1]}", typed[2:])
        _tell(f"{NAME} bench", typed[1:], {name: each.does for name, each in BENCHMARKS.items()}, BENCH)
    if typed and typed[0] == "--version":
        from overunlearn_jax import __version__

        print(__version__)
        sys.exit(0)
    lines = {name: each.does for name, each in SUBCOMMANDS.items()} | {"bench": BENCH}
    _tell(NAME, typed, lines, "Measures over-unlearning: what a malicious deletion makes a model forget.")


def subcommand(name: str) -> Subcommand:
    """By its name: "run", or "bench zoo"."""
    return {each.name: each for each in (*SUBCOMMANDS.values(), *BENCHMARKS.values(), *ALONE.values())}[name]


def _tell(program: str, typed: Sequence[str], lines: dict[str, str], does: str) -> NoReturn:
    """What there is: asked for, or because what was typed is none of it."""
    if typed and typed[0] in HELP:
        print(f"{does}\n\n{_listed(program, lines)}")
        sys.exit(0)
    print(f"error: {_wrong(program, typed, lines)}\n\n{_listed(program, lines)}", file=sys.stderr)
    sys.exit(WRONG)


def _listed(program: str, lines: dict[str, str]) -> str:
    width, column = terminal_width(), len(program) + max(map(len, lines)) + 5
    listed = [line for name, text in lines.items() for line in entry(f"  {program} {name}", text, column, width)]
    each = "SUBCOMMAND" if program == NAME else "BENCHMARK"
    return "\n".join([*listed, "", f"{program} {each} --help lists examples and flags."])


def _wrong(program: str, typed: Sequence[str], names: Iterable[str]) -> str:
    from overunlearn_jax.spelling import did_you_mean

    expected = f"expected one of {', '.join(names)}"
    if not typed:
        return f"{program}: {expected}"
    if typed[0].startswith("-"):
        return f"{program} {typed[0]}: {expected} before the flags"
    return f"{program} {typed[0]}: {expected}{did_you_mean(typed[0], names)}"
