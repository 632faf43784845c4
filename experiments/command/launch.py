"""Starts a program: flags, help, Ctrl-C and errors are the same for all of them."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from experiments.command.interrupts import interrupted, interruptible
from experiments.command.subcommands import Subcommand


def launch(subcommand: Subcommand, program: str, arguments: Sequence[str]) -> NoReturn:
    """Runs the program to its end and leaves Python.

    The exit status is what the module's `main` returns, None being 0; `subcommand.failed` for wrong flags and for
    whatever `main` raises, SystemExit too; `subcommand.interrupted` after Ctrl-C. The module's
    `on_wrong_flags(arguments)`, if it has one, is called before wrong flags are told.

    Args:
      subcommand: what to start.
      program: what the user typed before the arguments: for its help.
      arguments: flags and what else was typed behind.
    """
    stopped = [subcommand.stopped]
    with interruptible(subcommand.interrupted, lambda: stopped[0]):
        sys.exit(_run(subcommand, program, arguments, stopped))


def _run(subcommand: Subcommand, program: str, arguments: Sequence[str], stopped: list[str]) -> int:
    from absl import flags  # these are imported where Ctrl-C is a line already

    from experiments.command import parsing
    from experiments.run.errors import describe_error
    from overunlearn_jax.allocator import keep_freed_memory

    if subcommand.keeps_memory:
        keep_freed_memory()
    module = import_module(subcommand.module)
    others = set(flags.FLAGS)  # of absl and of libraries
    module.define_flags()
    if parsing.wants_help(arguments):
        from experiments.command.help import help_text
        from experiments.command.wrapping import terminal_width

        own = [name for name in flags.FLAGS if name not in others]
        print(help_text(subcommand, program, flags.FLAGS, own, terminal_width()))
        return 0
    try:
        return _run_app(module, subcommand, [program, *arguments], stopped)
    except Exception as error:  # whatever it is, the user is told, and the status is none of `main`'s
        if interrupted.is_set():
            raise
        print(describe_error(error), file=sys.stderr)
        return subcommand.failed


def _run_app(module: ModuleType, subcommand: Subcommand, command: list[str], stopped: list[str]) -> int:
    from absl import app, flags, logging  # not for --help: absl.app takes as long as all the rest

    from experiments.command import parsing
    from experiments.run.errors import describe_error

    main: Callable[[list[str]], int | None] = getattr(module, subcommand.function)
    status = 0  # of --helpfull and the like, which end in app.run

    def parse(command: list[str]) -> list[str]:
        try:
            left = parsing.parse(flags.FLAGS, command)
        except ValueError:
            if hasattr(module, "on_wrong_flags"):
                module.on_wrong_flags(command[1:])
            raise
        if "force" in flags.FLAGS and flags.FLAGS.force:
            stopped[0] = stopped[0].replace("the same command", "the same command without --force")
        return left

    def run(arguments: list[str]) -> None:
        nonlocal status
        logging.set_verbosity(logging.WARNING)  # Orbax tells of every file at INFO
        status = subcommand.failed
        try:
            status = main(arguments) or 0
        except SystemExit as error:  # of a user's code: a program ends with a status of its own choice
            print(describe_error(error), file=sys.stderr)

    try:
        app.run(run, argv=command, flags_parser=parse)
    except SystemExit:
        return status
    raise AssertionError("app.run always leaves by SystemExit or an error")
