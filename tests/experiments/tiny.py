"""An experiment so small that a run takes seconds: three easily separated classes of 8x8 images, one narrow VGG."""

import os
import subprocess
import sys
from pathlib import Path

from experiments.campaign import ground
from experiments.config import DEFAULTS, Config
from tests.conftest import STRICT

ROOT = Path(__file__).parents[2]
NAMES = ground.NAMES
WALL_TIMES = ("seconds_attack", "seconds_unlearn")
SETTINGS = {
    "class_a": "ant",
    "class_b": "bee",
    "fractions": (0.5,),
    "seeds": (0,),
    "blocks": 1,
    "width": 4,
    "batch_norm_momentum": 0.5,
    "learning_rate": 3e-3,
    "batch_size": 16,
    "epochs": 3,
    "coordinates": 8,
    "step_size": 0.1,
    "max_steps": 100,
    "taus": (1e-3,),
}


def write_data(path: Path, each: int = 40) -> Path:
    """Writes an .npz data set with `each` images of every class; a fifth of them become the test part."""
    ground.write_data(path, each)
    return path


def tiny_config(data_file: Path, folder: Path, cache: Path, **changes: object) -> Config:
    """Settings of a run that ends within seconds; `changes` replace some."""
    places = {"experiment": "tiny", "dataset": str(data_file), "workdir": str(folder), "cache_dir": str(cache)}
    return Config.of(**{**SETTINGS, **places, **changes})  # type: ignore[arg-type]


def command(*arguments: str, module: str = "experiments.main") -> list[str]:
    """The command line of a user, with this Python; warnings are errors, but for half-written compiled programs."""
    return [sys.executable, *STRICT, "-m", module, *arguments]


def as_flags(config: Config) -> list[str]:
    """The flags of every setting of `config` that is not a default."""
    return [
        f"--{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in config.flat().items()
        if value != DEFAULTS[name]
    ]


def environment(python_path: Path = ROOT) -> dict[str, str]:
    """Of a process that imports from `python_path`."""
    return os.environ | {"PYTHONPATH": str(python_path)}


def main(*arguments: str, cwd: Path = ROOT, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """`python -m experiments.main` to its end."""
    return subprocess.run(command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)


def without_wall_times(rows: list[dict]) -> list[dict]:
    """What has to be equal in two runs of the same settings."""
    return [{key: value for key, value in row.items() if key not in WALL_TIMES} for row in rows]
