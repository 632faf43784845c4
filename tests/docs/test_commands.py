"""Every command on the site, in the README and beside it has flags that are there, and files that exist."""

import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from absl import flags

from experiments.command.dispatch import subcommand
from experiments.command.parsing import HELP, parse
from experiments.command.subcommands import ALONE, SUBCOMMANDS
from experiments.config import flags as config_flags
from tests.docs.pages import PAGES, ROOT, blocks, commands, name_of

TAKES = {each.module for each in SUBCOMMANDS.values() if each.takes}  # arguments that are no flags
ALL = [(name_of(page), each) for page in PAGES for each in dict.fromkeys(commands(page))]


@contextmanager
def defined(module_name: str) -> Iterator[None]:
    """The flags of a program, for as long as the block lasts."""
    others = set(flags.FLAGS)
    try:
        importlib.import_module(module_name).define_flags()
        yield
    finally:
        for name in set(flags.FLAGS) - others:
            delattr(flags.FLAGS, name)
        flags.FLAGS.unparse_flags()


def read(command: str) -> tuple[str, list[str]]:
    """The module behind a command, and its arguments."""
    words = shlex.split(command)
    if words[0] == "overunlearn":
        if words[1] == "bench":
            return subcommand(" ".join(words[1:3])).module, words[3:]
        return SUBCOMMANDS[words[1]].module, words[2:]
    module = words[2]
    last = module.rpartition(".")[2]
    return (ALONE[last].module if last in ALONE else module), words[3:]


def check(command: str) -> None:
    """Parses a command as it would be; raises what is wrong with it."""
    name, arguments = read(command.replace("$JOB_COMPLETION_INDEX", "0"))
    module = importlib.import_module(name)
    if not hasattr(module, "define_flags"):  # it defines them when it is started
        known = re.findall(r'DEFINE_\w+\(\s*"(\w+)"', (ROOT / f"{name.replace('.', '/')}.py").read_text())
        unknown = [each for each in arguments if each.removeprefix("--").partition("=")[0] not in known]
        assert not unknown, unknown
        return
    with defined(name):
        left = parse(flags.FLAGS, [name, *(each for each in arguments if each not in HELP)])
        assert len(left) == 1 or name in TAKES, f"{left[1:]} are no flags"
        if name in ("experiments.main", "experiments.audit"):
            config_flags.from_flags(flags.FLAGS)


@pytest.mark.parametrize(("page", "command"), ALL, ids=lambda text: text[:70])
def test_commands_can_be_parsed(page: str, command: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)  # flagfiles are named from there
    check(command)


def test_there_are_commands_of_all_kinds():
    typed = " ".join(command for _, command in ALL)
    assert len(ALL) > 30
    for name in (*SUBCOMMANDS, "--distributed", "--service_url", "from_rows"):
        assert name in typed, name


@pytest.mark.parametrize(
    "wrong",
    ["overunlearn run --no_such_flag=1", "overunlearn audit --seeds=0-x", "overunlearn run --unlearning=first_ordr"],
)
def test_a_wrong_command_is_found(wrong: str):
    with pytest.raises(ValueError, match=r"--|unlearning"):
        check(wrong)


def test_make_targets_and_extras_exist():
    text = "\n".join(block.text for page in PAGES for block in blocks(page) if block.kind in ("sh", "", "yaml"))
    text += "\n".join(page.read_text() for page in PAGES)
    targets = set(re.findall(r"^(?:`|- run: )?make (\w[\w-]*)|`make (\w[\w-]*)`", text, re.MULTILINE))
    made = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {one or two for one, two in targets} <= set(made)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"pip install -e '\.\[(\w+)\]'", text)
    assert named
    assert set(named) <= set(extras)
