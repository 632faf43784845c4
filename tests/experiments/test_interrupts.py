"""Ctrl-C ends a program with one line, wherever it is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.command.benchmarks import BENCHMARKS
from experiments.command.subcommands import AUDIT, RUN
from tests.experiments import tiny

STOPPED = "stopped: the same command goes on where it was"
SCRIPT = """
import os, signal, sys, time
from experiments.command import interrupts
from experiments.command.streams import unbreakable_streams

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

def running():
    interrupt()
    time.sleep(60)

def importing():
    import interrupts_this_import

def deaf():  # as a compilation
    interrupts.SECONDS_TO_LEAVE = 0.1
    while True:
        try:
            interrupt()
            time.sleep(60)
        except KeyboardInterrupt:
            pass

def translating():
    try:
        interrupt()
        time.sleep(60)
    except KeyboardInterrupt as error:
        raise RuntimeError("INTERNAL: a callback failed") from error

class Ignoring:
    def __del__(self):  # Python prints its traceback, and goes on
        interrupt()

def ignoring():
    interrupts.SECONDS_TO_LEAVE = 0.1
    Ignoring()
    time.sleep(60)

def leaving():
    try:
        running()
    finally:
        print("left")

with interrupts.interruptible(2, lambda: "outer"), unbreakable_streams():
    with interrupts.interruptible(130, lambda: interrupts.STOPPED):
        globals()[sys.argv[1]]()
"""
LAUNCH = """
import os, signal, sys, types
from experiments.command import interrupts, subcommands
from experiments.command.launch import launch

def main(arguments):
    os.kill(os.getpid(), signal.SIGINT)

def define_flags():
    from absl import flags
    flags.DEFINE_bool("force", False, "again")

sys.modules["its_program"] = types.SimpleNamespace(main=main, define_flags=define_flags)
launch(getattr(subcommands, sys.argv[1])._replace(module="its_program"), "its", sys.argv[2:])
"""


def run(script: str, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(tiny.ROOT), *([str(folder)] if folder else [])])
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("where", ["running", "importing", "deaf", "translating", "ignoring", "leaving"])
def test_one_line_wherever_it_comes(where: str, tmp_path: Path):
    (tmp_path / "interrupts_this_import.py").write_text("import time, __main__\n__main__.interrupt()\ntime.sleep(60)\n")
    done = run(SCRIPT, where, folder=tmp_path)
    assert done.returncode == 130
    assert done.stderr.strip() == STOPPED
    assert done.stdout == ("left\n" if where == "leaving" else "")


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["RUN"], 130, STOPPED),
        (["RUN", "--force"], 130, "stopped: the same command without --force goes on where it was"),
        (["AUDIT"], 2, "stopped, and there is no verdict: the same command goes on where it was"),
    ],
)
def test_a_launched_program_says_how_it_goes_on(arguments: list[str], status: int, line: str):
    done = run(LAUNCH, *arguments)
    assert (done.returncode, done.stderr.strip(), done.stdout) == (status, line, "")


def test_what_is_said_of_each_program():
    assert (RUN.interrupted, AUDIT.interrupted) == (130, 2)
    assert {name for name, each in BENCHMARKS.items() if each.stopped == "stopped"} == {
        "zoo",
        "sisa_saving",
        "training",
        "server_faults",
        "server_load",
    }


def test_where_ctrl_c_was_switched_off_it_stays_so():
    script = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + SCRIPT.replace("sleep(60)", "sleep(0)")
    done = run(script, "running")
    assert (done.returncode, done.stderr) == (0, "")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(("ended", "status"), [("3", 3), ("None", 0), ("'words'", 1)])
def test_the_status_of_a_program_that_has_ended_stays(ended: str, status: int):
    script = (
        f"import os, signal; from experiments.command.interrupts import keep_status; keep_status(SystemExit({ended}))"
    )
    done = run(f"{script}; os.kill(os.getpid(), signal.SIGINT)")
    assert (done.returncode, done.stderr) == (status, "")
