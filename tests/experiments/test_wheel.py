"""The wheel holds everything that a run needs, without the checkout."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from experiments.controls import question
from overunlearn_jax.reporting import read_rows
from tests.experiments import tiny

pytest.importorskip("setuptools", minversion="77", reason="building a wheel needs pip install -e '.[dev]'")

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "overunlearn_jax", "experiments")


def pip(*arguments: str, cwd: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments, "--no-deps", "--no-index", "--disable-pip-version-check"],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the checkout, with the setuptools that is installed: no network."""
    folder = tmp_path_factory.mktemp("build")
    (folder / "source").mkdir()
    for name in SOURCES:
        source, target = tiny.ROOT / name, folder / "source" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    pip("wheel", "--no-build-isolation", "--wheel-dir=wheels", "./source", cwd=folder)
    [built] = (folder / "wheels").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", f"--target={folder / 'site'}", str(wheel), cwd=folder)
    return folder / "site"


def test_the_wheel_holds_every_file(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    wanted = {
        str(path.relative_to(tiny.ROOT))
        for package in ("overunlearn_jax", "experiments")
        for path in (tiny.ROOT / package).rglob("*")
        if path.suffix in (".py", ".cfg", ".jinja", ".json", ".typed") and "results" not in path.parts
    }
    wanted.add(str(question.FILE.relative_to(tiny.ROOT)))
    assert "experiments/flagfiles/quickstart.cfg" in wanted
    assert "overunlearn_jax/py.typed" in wanted
    assert "overunlearn_jax/reporting/report.html.jinja" in wanted
    assert "experiments/paper/numbers.json" in wanted
    assert wanted <= held
    tops = {name.partition("/")[0] for name in held}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"overunlearn_jax", "experiments"}


def test_the_wheel_brings_the_command(installed: Path, tmp_path: Path):
    command = [sys.executable, str(installed / "bin" / "overunlearn"), "--version"]
    done = subprocess.run(
        command, cwd=tmp_path, env=tiny.environment(installed), capture_output=True, text=True, check=True
    )
    project = tomllib.loads((tiny.ROOT / "pyproject.toml").read_text())["project"]
    assert done.stdout == f"{project['version']}\n"


def test_an_installed_run_needs_no_checkout(installed: Path, dataset: Path, tmp_path: Path):
    environment = tiny.environment(installed)
    where = subprocess.run(
        [sys.executable, "-c", "import overunlearn_jax, experiments as e; print(overunlearn_jax.__file__, e.__file__)"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.split() == [
        str(installed / name / "__init__.py") for name in ("overunlearn_jax", "experiments")
    ]

    flagfile = f"--flagfile={installed / 'experiments' / 'flagfiles' / 'quickstart.cfg'}"
    settings = tiny.tiny_config(dataset, Path("run"), Path("cache"))
    done = subprocess.run(
        tiny.command(flagfile, *tiny.as_flags(settings)),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "report: run/report.html" in done.stdout
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    assert len(read_rows(tmp_path / "run" / "results.jsonl")) == 5
