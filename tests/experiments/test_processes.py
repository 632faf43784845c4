"""One run on two processes: the rows of one process, and clear errors where they cannot find each other."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from experiments import pipeline
from experiments.config import Config
from overunlearn_jax.reporting import read_rows
from tests.experiments import tiny


def _start(config: Config, *flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        tiny.command(*tiny.as_flags(config), *flags),
        env=tiny.environment() | {"JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(*programs: subprocess.Popen[str]) -> list[str]:
    """What each has printed."""
    try:
        outputs = [program.communicate(timeout=240) for program in programs]
    finally:
        for program in programs:
            program.kill()
            program.communicate()
    assert [program.returncode for program in programs] == [0] * len(programs), outputs
    return [output for output, _ in outputs]


def _free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.usefixtures("no_figures")
def test_two_processes_make_the_rows_of_one(dataset: Path, tmp_path: Path):
    alone = tiny.tiny_config(dataset, tmp_path / "alone", tmp_path / "cache")
    pipeline.run(alone)

    together = tiny.tiny_config(dataset, tmp_path / "together", tmp_path / "shared")
    address = _free_address()
    flags = ["--distributed", f"--coordinator={address}", "--processes=2"]
    outputs = _finish(*(_start(together, *flags, f"--process_id={index}") for index in (0, 1)))
    expected, found = (read_rows(Path(config.run.workdir) / "results.jsonl") for config in (alone, together))
    assert tiny.without_wall_times(found) == tiny.without_wall_times(expected)
    assert "report: " in outputs[0]
    assert "report: " not in outputs[1]
    files = list(Path(together.run.cache_dir).glob("pushes/*/*.npz"))
    assert len(files) == 2  # each process has saved its own
    # what both have saved is found by one
    shutil.rmtree(together.run.workdir)
    pipeline.run(together)
    assert list(Path(together.run.cache_dir).glob("pushes/*/*.npz")) == files
    again = read_rows(Path(together.run.workdir) / "results.jsonl")
    assert tiny.without_wall_times(again) == tiny.without_wall_times(expected)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--coordinator=127.0.0.1:1",), "belong to --distributed"),
        (("--distributed", "--processes=2"), "go together"),
        (("--distributed",), "did not find each other"),
    ],
)
def test_flags_that_do_not_fit_are_explained(flags: tuple[str, ...], message: str):
    done = tiny.main(*flags)
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
