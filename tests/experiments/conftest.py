import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from absl import app
from absl.testing import flagsaver

from experiments.command.dispatch import subcommand
from experiments.command.launch import launch
from experiments.config import Config
from experiments.run import figures
from tests.experiments import tiny


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data") / "tiny.npz")


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Victims and pushes that the tests share: each is made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def config(dataset: Path, cache_dir: Path, tmp_path: Path) -> Callable[..., Config]:
    """Makes configs of tiny runs in a workdir of this test; keyword arguments change settings."""
    return functools.partial(tiny.tiny_config, dataset, tmp_path / "run", cache_dir)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the figures, which take longer than the rest of a tiny run."""
    monkeypatch.setattr(figures, "draw", lambda *_: ([], {}))


@pytest.fixture
def plain_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """absl's app.run without what it changes in the process: logging, fault handlers, its name."""

    def run(main: Callable, argv: list[str], flags_parser: Callable) -> None:
        sys.exit(main(flags_parser(argv)))

    monkeypatch.setattr(app, "run", run)


@pytest.fixture
def command(plain_app: None, capsys: pytest.CaptureFixture) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`overunlearn SUBCOMMAND ...` to its end in this process, which has imported everything already."""

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        with flagsaver.flagsaver(), pytest.raises(SystemExit) as left:
            launch(subcommand(name), f"overunlearn {name}", arguments)
        told = capsys.readouterr()
        return subprocess.CompletedProcess([name, *arguments], left.value.code, told.out, told.err)

    return run
