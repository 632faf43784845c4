"""What a user is told: one line for what can be expected, and the traceback of what cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.config import Config
from experiments.run.devices import check_devices
from experiments.run.errors import describe_error
from experiments.run.outputs import make_folders
from tests.experiments import tiny


def test_a_workdir_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").touch()
    for flag in ("workdir", "cache_dir"):
        places = {"workdir": str(tmp_path / "run"), "cache_dir": str(tmp_path / "cache")}
        config = Config.of(**places | {flag: str(tmp_path / "file" / "below")})
        with pytest.raises(
            ValueError, match=rf"--{flag}=\S+below cannot be made or written to \(Not a dir.*another folder"
        ):
            make_folders(config)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("--seeds=a: expected int"), "error: --seeds=a: expected int"),
        (RuntimeError("first\n  second"), "error: first second"),
        (FileNotFoundError(2, "No such file or directory", "x.npz"), "error: x.npz: No such file or directory"),
        (ImportError("torch is missing: pip install it"), "error: torch is missing: pip install it"),
        (MemoryError(), "error: MemoryError"),
        (
            RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nBuffer 1: ..."),
            "error: the device has no memory left: lower --slots, --batch_size or --width (RESOURCE_EXHAUSTED: Out of "
            "memory allocating 9 bytes.)",
        ),
    ],
)
def test_expected_errors_are_one_line(error: Exception, line: str):
    assert describe_error(error) == line


def test_an_error_that_nobody_expected_keeps_its_traceback():
    try:
        {}["a"]
    except KeyError as error:
        told = describe_error(error).splitlines()
    assert told[0].startswith("Traceback")
    assert told[-1] == "error: KeyError: 'a'"
    told = describe_error(ModuleNotFoundError("No module named 'a'", name="a"))
    assert told.splitlines()[-1].startswith("error: ModuleNotFoundError: No module named 'a': ")
    assert told.endswith("install the package again, pip install -e . in its clone")


def test_a_platform_that_jax_does_not_find(monkeypatch: pytest.MonkeyPatch):
    def devices() -> list:
        raise AssertionError

    monkeypatch.setattr("jax.devices", devices)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(
        ValueError, match=r"^JAX_PLATFORMS=cuda, and JAX finds no such device here: unset JAX_PLATFORMS"
    ):
        check_devices()
    monkeypatch.delenv("JAX_PLATFORMS")
    with pytest.raises(AssertionError):
        check_devices()


def test_jax_says_why_it_lacks_a_platform(monkeypatch: pytest.MonkeyPatch):
    def devices() -> list:
        raise RuntimeError("Unable to initialize backend 'tpu': none here (set JAX_PLATFORMS='' to choose)")

    monkeypatch.setattr("jax.devices", devices)
    monkeypatch.setenv("JAX_PLATFORMS", "tpu")
    with pytest.raises(ValueError, match=r"device here \(Unable to initialize backend 'tpu': none here\): unset"):
        check_devices()


@pytest.mark.parametrize("closing", ["sys.stderr.close()", "sys.stdout.close()", "os.close(2)", "os.close(1)"])
def test_a_function_that_closes_a_stream_stops_nothing(closing: str):
    code = (
        "import os, sys\n"
        "from experiments.command.streams import unbreakable_streams\n"
        "with unbreakable_streams():\n"
        f"    {closing}\n"
        "    print('said', flush=True)\n"
        "    print('told', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tiny.ROOT, timeout=60, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0
    expected = {"sys": ("said\n", "told\n"), "os.close(2)": ("said\n", ""), "os.close(1)": ("", "told\n")}
    assert (done.stdout, done.stderr) == expected[closing if closing.startswith("os") else "sys"]


@pytest.mark.parametrize("closed", [1, 2])
def test_a_pipe_that_nobody_reads_any_more_stops_nothing(closed: int, tmp_path: Path):
    said = tmp_path / "said.txt"
    code = (
        "import sys, pathlib\n"
        "from experiments.command.streams import unbreakable_streams\n"
        "with unbreakable_streams():\n"
        "    for line in range(20000):\n"
        "        print(line, flush=line % 100 == 0)\n"
        "        print(line, file=sys.stderr)\n"
        f"    pathlib.Path({str(said)!r}).write_text('went on')\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {["stdout", "stderr"][closed - 1]: writer}
    done = subprocess.run([sys.executable, "-c", code], cwd=tiny.ROOT, timeout=60, check=False, **streams)
    os.close(writer)
    assert done.returncode == 0
    assert said.read_text() == "went on"
    assert b"BrokenPipe" not in (done.stderr or b"")
