"""A run that is killed in each of its phases, and started again each time, ends with the rows of an undisturbed one."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import jax
import pytest

from experiments import pipeline
from experiments.config import Config
from overunlearn_jax.reporting import read_rows
from tests.conftest import share_compiled
from tests.experiments import tiny

EPOCHS = 8
LONG = {
    "fractions": (0.75,),  # of about 75 samples: three files
    "epochs": EPOCHS,
    "slots": 1,  # so that samples end one after another
    "patience": EPOCHS,
    "step_size": 0.01,
    "max_steps": 300,
    "fidelity": ("equation", "corrected"),
}
ROWS = 10


@pytest.fixture(scope="module")
def large_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data") / "tiny.npz", each=120)


def copy_compiled(folder: Path) -> dict[str, str]:
    """An environment with what has been compiled, apart from other tests': a kill may leave a half-written program."""
    return tiny.environment() | share_compiled(shutil.copytree(jax.config.jax_compilation_cache_dir, folder))


def kill_when(config: Config, environment: dict[str, str], reached: Callable[[], bool]) -> None:
    """Starts the run, and kills it without a chance to clean up as soon as `reached`."""
    process = subprocess.Popen(
        tiny.command(*tiny.as_flags(config)),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not reached():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL


def finish(config: Config) -> list[dict]:
    pipeline.run(config)
    return read_rows(Path(config.run.workdir) / "results.jsonl")


@pytest.mark.usefixtures("no_figures")
def test_killed_in_every_phase(large_dataset: Path, tmp_path: Path):
    undisturbed = tiny.tiny_config(large_dataset, tmp_path / "undisturbed", tmp_path / "cache_of_undisturbed", **LONG)
    expected = finish(undisturbed)
    environment = copy_compiled(tmp_path / "compiled")
    assert len(expected) == ROWS
    samples = expected[0]["requested"]
    assert samples > 50

    config = tiny.tiny_config(large_dataset, tmp_path / "killed", tmp_path / "cache", **LONG)
    cache, results = Path(config.run.cache_dir), Path(config.run.workdir, "results.jsonl")

    def epochs() -> int:
        return sum(len(path.read_text().splitlines()) for path in cache.glob("victims/*/epochs/metrics.jsonl"))

    def chunks() -> list[Path]:
        return sorted(cache.glob("pushes/*/[0-9]*.npz"))

    def pushed() -> int:
        return sum(int(path.stem.split("_")[1]) for path in chunks())

    def whole_lines() -> int:
        return results.read_bytes().count(b"\n") if results.exists() else 0

    kill_when(config, environment, lambda: epochs() >= 3)  # in training
    assert 3 <= epochs() < EPOCHS
    assert not list(cache.glob("victims/*/best"))
    assert not chunks()

    kill_when(config, environment, lambda: len(chunks()) >= 1)  # in the attack
    assert epochs() == EPOCHS
    assert len(list(cache.glob("victims/*/best"))) == 1
    assert 25 <= pushed() < samples
    written = {path: path.stat().st_mtime_ns for path in [*chunks(), *cache.glob("victims/*/best")]}
    assert not results.exists()

    kill_when(config, environment, lambda: whole_lines() >= 3)  # in unlearning and evaluation
    assert pushed() == samples
    assert 3 <= whole_lines() < ROWS
    kept = results.read_bytes().rpartition(b"\n")[0]
    assert not Path(config.run.workdir, "report.html").exists()

    rows = finish(config)
    assert tiny.without_wall_times(rows) == tiny.without_wall_times(expected)
    # what was finished before a kill was not done again
    assert results.read_bytes().startswith(kept + b"\n")
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert len(list(cache.glob("victims/*"))) == len(list(cache.glob("pushes/*"))) == 1
