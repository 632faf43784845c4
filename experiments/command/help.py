"""`--help`: what a program does, examples, the settings that most people need, and the rest by subject."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from absl import flags

from experiments.command.subcommands import Subcommand
from experiments.command.wrapping import entry, wrapped
from experiments.config import PART_OF, PARTS

COLUMN = 30  # where the texts of flags begin
NARROW = 70  # a terminal that has no room for two columns
FLAGFILE = "a file with a flag on each line, as if they stood here; lines that begin with # are comments"
OTHERS = (
    (
        "processes: One run on several processes, on one machine or many.",
        ("distributed", "coordinator", "processes", "process_id"),
    ),
    ("paper and methods: Tables, figures and the grid of methods.", ("scale", "dry_run", "method")),
)


def help_text(subcommand: Subcommand, program: str, values: flags.FlagValues, own: Sequence[str], width: int) -> str:
    """The help of a program.

    Args:
      subcommand: whose.
      program: what a user types before the flags.
      values: flags that are defined.
      own: names of the program's own flags among them; absl and libraries have others.
      width: of the terminal, in characters.
    """
    usage = f"usage: {program} {subcommand.takes} [--FLAG=VALUE ...]".replace("  ", " ")
    lines = [*wrapped(subcommand.does, width), "", *wrapped(usage, width)]
    for paragraph in subcommand.about:
        lines += ["", *wrapped(paragraph, width)]
    if subcommand.examples:
        lines += ["", "examples:"]
    for arguments, what in subcommand.examples:
        lines += [f"  # {line}" for line in wrapped(what, width - 4)] + _command(f"{program} {arguments}", width)
    for title, names in _sections(subcommand.first, own):
        lines += ["", *wrapped(title, width)]
        for name in names:
            lines += _flag(values[name], width)
    lines += ["", "files: Settings that are kept.", *_entry("  --flagfile=FILE", FLAGFILE, width)]
    if "config" in own:
        lines += _flag(values["config"], width)
    for note in subcommand.notes:
        lines += ["", *wrapped(note, width)]
    return "\n".join(lines)


def _sections(first: Sequence[str], own: Collection[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Titles with names of flags: every own flag once, but for --config."""
    subjects = [
        (f"{part}: {kind.__doc__.strip()}", [name for name, of in PART_OF.items() if of == part])
        for part, kind in PARTS.items()
        if set(PART_OF) <= set(own)  # a benchmark may have a flag or two of the same name
    ]
    subjects += [(title, list(names)) for title, names in OTHERS]
    left = set(own) - {"config", *first, *(name for _, names in subjects for name in names)}
    shown: set[str] = set()
    for title, names in (
        ("The settings that most people need; every flag stands with its default:", first),
        ("More settings:" if first else "settings; every flag stands with its default:", sorted(left)),
        *subjects,
    ):
        names = [name for name in names if name in own and name not in shown]
        shown.update(names)
        if names:
            yield title, names


def _flag(flag: flags.Flag[Any], width: int) -> list[str]:
    """A flag as it is typed, with its default, and what it means."""
    text = _text(flag)
    if flag.boolean:
        return _entry(f"  --[no]{flag.name}", f"{text} (default: {'yes' if flag.default else 'no'})", width)
    default = ",".join(map(str, flag.default)) if isinstance(flag.default, list) else flag.default
    head = f"  --{flag.name}" + ("" if default is None else f"={default}")
    if len(head) > width:
        head, text = f"  --{flag.name}", f"{text} (default: {default})"
    return _entry(head, text, width)


def _text(flag: flags.Flag[Any]) -> str:
    """What it means, without what absl adds before and behind."""
    text = " ".join((flag.help or "").split()).removesuffix("; repeat this option to specify a list of values")
    choices, _, meaning = text.removeprefix("<").partition(">: ") if text.startswith("<") else ("", "", text)
    return meaning + (f" ({choices.replace('|', ', ')})" if choices else "")


def _entry(head: str, text: str, width: int) -> list[str]:
    return entry(head, text, COLUMN if width >= NARROW else 6, width)


def _command(command: str, width: int) -> list[str]:
    """A command that can be pasted, on as many lines as it takes."""
    lines = wrapped(command, width - 2, 2, 6)
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]
