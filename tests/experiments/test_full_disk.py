"""A disk that is full in each phase of a run: the error names the file, nothing finished is lost, a restart finishes.

A limit on the size of files stands for the full disk: the kernel then refuses the very same writes.
"""

import contextlib
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import pytest

from experiments import pipeline
from experiments.config import Config
from overunlearn_jax.reporting import read_rows
from tests.experiments import tiny

MakeConfig = Callable[..., Config]
TAUS = (1e-3, 2e-3, 3e-3)


NOTHING_COMPILED_IS_KEPT = ("jax_persistent_cache_min_compile_time_secs", 1e9)  # its files would be too large, too


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes."""
    name, never = NOTHING_COMPILED_IS_KEPT
    kept_from = getattr(jax.config, name)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    jax.config.update(name, never)
    try:
        yield
    finally:
        jax.config.update(name, kept_from)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def assert_whole_files_only(folder: Path) -> None:
    assert not list(folder.rglob(".*.tmp"))


LIMITED_MAIN = """
import resource, runpy, sys
size = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
runpy.run_module("experiments.main", run_name="__main__", alter_sys=True)
"""


@pytest.mark.usefixtures("no_figures")
def test_while_training(config: MakeConfig, tmp_path: Path):
    settings = config(cache_dir=str(tmp_path / "cache"), attacks=("normal",), epochs=1)
    name, never = NOTHING_COMPILED_IS_KEPT
    done = subprocess.run(  # Orbax leaves threads and tasks behind: not in this process
        [sys.executable, "-c", LIMITED_MAIN, "20000", *tiny.as_flags(settings)],
        cwd=tiny.ROOT,
        env=tiny.environment() | {name.upper(): str(never)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    message = next(line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert re.search(r"cannot write the checkpoint /.*/epochs/epoch_0: ", message)
    assert "Traceback" not in done.stderr
    assert "start the same command again" in done.stderr
    assert not list(Path(settings.run.cache_dir).glob("victims/*/best"))
    pipeline.run(settings)
    assert len(read_rows(Path(settings.run.workdir) / "results.jsonl")) == 1


@pytest.mark.usefixtures("no_figures")
def test_while_pushing(config: MakeConfig, cache_dir: Path, tmp_path: Path):
    pipeline.run(config(attacks=("normal",), workdir=str(tmp_path / "other")))  # trains, where no test did before
    shutil.copytree(cache_dir / "victims", tmp_path / "cache" / "victims")
    settings = config(cache_dir=str(tmp_path / "cache"), attacks=("normal", "pushing_1"))
    with largest_file(8_000), pytest.raises(OSError, match=r"/pushes/\w+/\d+_\d+\.npz"):
        pipeline.run(settings)
    assert not list(Path(settings.run.cache_dir).rglob("*.npz"))
    assert_whole_files_only(tmp_path)
    pipeline.run(settings)
    assert len(read_rows(Path(settings.run.workdir) / "results.jsonl")) == 2


@pytest.mark.usefixtures("no_figures")
def test_while_writing_rows(config: MakeConfig):
    settings = config(taus=TAUS)
    results = Path(settings.run.workdir) / "results.jsonl"
    pipeline.run(settings)
    expected = read_rows(results)
    shutil.rmtree(settings.run.workdir)

    with largest_file(8_000), pytest.raises(OSError, match=r"results\.jsonl") as caught:
        pipeline.run(settings)
    assert "this row could not be added" in str(caught.value)
    kept = results.read_bytes()
    assert 0 < len(read_rows(results)) < len(expected)
    assert kept.endswith(b"\n")
    pipeline.run(settings)
    assert results.read_bytes().startswith(kept)
    assert tiny.without_wall_times(read_rows(results)) == tiny.without_wall_times(expected)


def test_while_writing_the_report(config: MakeConfig):
    settings = config(attacks=("normal", "blending"))
    results = Path(settings.run.workdir) / "results.jsonl"
    with largest_file(20_000), pytest.raises(OSError, match=r"/figures/\w+.*\.png"):
        pipeline.run(settings)
    kept = results.read_bytes()
    assert len(read_rows(results)) == 2
    assert_whole_files_only(Path(settings.run.workdir))
    assert pipeline.run(settings).exists()
    assert results.read_bytes() == kept
