"""The command: sub-commands, help, names that are nearly right, and errors in one line."""

import os
import subprocess
import sys
import tomllib
from importlib import metadata
from types import SimpleNamespace

import pytest
from absl import flags

import overunlearn_jax as ou
from experiments.command import launch as launch_module
from experiments.command.benchmarks import BENCHMARKS
from experiments.command.dispatch import dispatch
from experiments.command.help import help_text
from experiments.command.launch import launch
from experiments.command.subcommands import AUDIT, RUN, SERVE, SUBCOMMANDS, Subcommand
from experiments.config import DEFAULTS
from overunlearn_jax import allocator
from overunlearn_jax.reporting import command_line
from tests.experiments import tiny

SLOW = ("jax", "scipy", "sklearn", "matplotlib", "flax", "optax", "chex")  # each takes as long as all of --help
HELP = f"""
import sys
from experiments.command import main
try:
    main()
except SystemExit as left:
    print(left.code, [name for name in {SLOW} if name in sys.modules], file=sys.stderr)
"""


def overunlearn(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    """The command to its end, with a last line on stderr: its status, and which slow modules it imported."""
    command = [sys.executable, "-c", HELP, *arguments]
    environment = tiny.environment() | {"COLUMNS": "80"}
    settings = {"cwd": tiny.ROOT, "env": environment, "text": True, "timeout": 60, "check": False} | more
    return subprocess.run(command, stderr=subprocess.PIPE, **{"stdout": subprocess.PIPE} | settings)


@pytest.mark.parametrize("arguments", [[], ["bench"], *([name] for name in SUBCOMMANDS)], ids=" ".join)
def test_help_answers_at_once(arguments: list[str]):
    done = overunlearn(*arguments, "--help")
    assert done.stderr.split() == ["0", "[]"]
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if "," not in line)  # lists stay whole
    if arguments and arguments[0] in SUBCOMMANDS:
        assert done.stdout.startswith(SUBCOMMANDS[arguments[0]].does)
        assert done.stdout.count("  # ") in (2, 3, 4), "examples"
        names = [line.split()[0].partition("=")[0] for line in done.stdout.splitlines() if line.startswith("  --")]
        for name, default in DEFAULTS.items():
            assert (f"--[no]{name}" if isinstance(default, bool) else f"--{name}") in names
        assert len(set(names)) == len(names), "each flag once"


def test_what_most_people_need_are_twenty_settings():
    for subcommand, own in ((RUN, set()), (AUDIT, {"max_over_unlearning", "max_honest_cost"})):
        assert len(set(subcommand.first)) == len(subcommand.first) == 20
        assert set(subcommand.first) <= DEFAULTS.keys() | own


@pytest.fixture
def values() -> flags.FlagValues:
    """Flags apart from those of other tests."""
    made = flags.FlagValues()
    flags.DEFINE_string("experiment", "quickstart", "name", flag_values=made)
    flags.DEFINE_list("seeds", ["0", "1"], "one each", flag_values=made)
    flags.DEFINE_multi_enum("method", [], ["scrub", "sisa"], "which", flag_values=made)
    flags.DEFINE_bool("force", False, " ".join(["again"] * 40), flag_values=made)
    flags.DEFINE_integer("processes", None, "how many", flag_values=made)
    return made


def test_help_in_groups(values: flags.FlagValues):
    subcommand = Subcommand("do", "Does it.", "a_module", examples=(("x " * 30, "an example"),), first=("seeds",))
    own = ["experiment", "seeds", "method", "force", "processes"]
    lines = help_text(subcommand, "overunlearn do", values, own, 60).splitlines()
    assert lines[:3] == ["Does it.", "", "usage: overunlearn do [--FLAG=VALUE ...]"]
    assert lines[4:7] == [
        "examples:",
        "  # an example",
        "  overunlearn do x x x x x x x x x x x x x x x x x x x x x \\",
    ]
    assert "  --seeds=0,1" in lines
    assert max(map(len, lines)) <= 60
    wide = " ".join(help_text(subcommand, "overunlearn do", values, own, 100).split())
    assert "--seeds=0,1 one each More settings: --experiment=quickstart name --[no]force again again" in wide
    assert "again (default: no) processes: One run on several processes" in wide
    assert (
        "--processes how many paper and methods: Tables, figures and the grid of methods. --method= which (scrub, sisa)"
        in wide
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: overunlearn: expected one of run, audit, probe, paper, methods, serve, bench\n"),
        (["adit"], "did you mean audit?"),
        (
            ["--seeds=0", "run"],
            "overunlearn --seeds=0: expected one of run, audit, probe, paper, methods, serve, bench before the flags",
        ),
        (
            ["bench", "zo"],
            "zo: expected one of zoo, fewer_queries, revealed, request_gradients, sisa_saving, training, "
            "server_faults, server_load; did",
        ),
    ],
)
def test_a_subcommand_that_is_none(arguments: list[str], message: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as left:
        dispatch(arguments)
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_every_benchmark_with_flags_is_listed():
    folder = tiny.ROOT / "experiments" / "benchmarks"
    assert {path.stem for path in folder.glob("*.py") if "def define_flags" in path.read_text()} == BENCHMARKS.keys()


def test_one_version(capsys: pytest.CaptureFixture):
    assert ou.__version__ == metadata.version("overunlearn_jax")
    project = tomllib.loads((tiny.ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"overunlearn": "experiments.command:main"}
    assert "__version__" in ou.__all__
    with pytest.raises(SystemExit) as left:
        dispatch(["--version"])
    assert (left.value.code, capsys.readouterr().out) == (0, f"{ou.__version__}\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["python", "-m", "experiments.main", "--class_a=a cat"], "python -m experiments.main '--class_a=a cat'"),
        (["/venv/bin/python3", "/venv/bin/overunlearn", "run", "--seeds=0-4"], "overunlearn run --seeds=0-4"),
    ],
)
def test_the_command_line_as_it_can_be_typed_anywhere(words: list[str], line: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "orig_argv", words)
    assert command_line() == line


def leaves(_: list[str]) -> None:
    sys.exit(0)


def fails(_: list[str]) -> None:
    raise ValueError("--x=1: expected 2")


@pytest.mark.usefixtures("plain_app")
@pytest.mark.parametrize(
    ("main", "arguments", "status", "told"),
    [
        (lambda _: None, [], 0, ""),
        (lambda _: 1, [], 1, ""),
        (lambda arguments: len(arguments), ["a", "b"], 3, ""),
        (fails, [], 7, "error: --x=1: expected 2\n"),
        (leaves, [], 7, "error: SystemExit: 0\n"),
        (
            lambda _: 0,
            ["--no_such_flag"],
            7,
            "error: Unknown command line flag 'no_such_flag'; --help lists the flags\n",
        ),
    ],
)
def test_the_exit_status(main, arguments, status, told, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    wrong: list[list[str]] = []
    program = SimpleNamespace(define_flags=lambda: None, main=main, on_wrong_flags=wrong.append)
    monkeypatch.setattr(launch_module, "import_module", lambda _: program)
    with pytest.raises(SystemExit) as left:
        launch(RUN._replace(failed=7), "overunlearn run", arguments)
    assert left.value.code == status
    assert capsys.readouterr().err.endswith(told)
    assert wrong == ([["--no_such_flag"]] if "--no_such_flag" in arguments else [])


@pytest.mark.usefixtures("plain_app")
@pytest.mark.parametrize(("subcommand", "kept"), [(RUN, [True]), (SERVE, [])])
def test_a_program_that_ends_keeps_the_memory_that_it_frees(
    subcommand: Subcommand, kept: list[bool], monkeypatch: pytest.MonkeyPatch
):
    found: list[bool] = []
    monkeypatch.setattr(allocator, "keep_freed_memory", lambda: found.append(True))
    program = SimpleNamespace(define_flags=lambda: None, main=lambda _: None)
    monkeypatch.setattr(launch_module, "import_module", lambda _: program)
    with pytest.raises(SystemExit):
        launch(subcommand, "overunlearn", [])
    assert found == kept


def test_a_closed_pipe_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = overunlearn("run", "--help", stdout=writer)
    os.close(writer)
    assert done.stderr.splitlines() == ["0 []"]
