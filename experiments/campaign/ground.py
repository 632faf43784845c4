"""What trials start from: a data set and a run of seconds, its rows when nothing disturbs it, and the real command."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.campaign.verdicts import Ended

ROOT = Path(__file__).parents[2]
LONGEST = 180.0  # seconds that one start may take; an undisturbed one takes about ten
NAMES = ("ant", "bee", "cat")
WALL_TIMES = ("seconds_attack", "seconds_unlearn", "digest")  # the digest is of these, too
SETTINGS = {
    "experiment": "tiny",
    "class_a": "ant",
    "class_b": "bee",
    "fractions": "0.75",
    "seeds": "0,1",
    "blocks": "1",
    "width": "4",
    "batch_norm_momentum": "0.5",
    "learning_rate": "3e-3",
    "batch_size": "16",
    "epochs": "3",
    "coordinates": "8",
    "step_size": "0.1",
    "max_steps": "60",
    "slots": "4",
    "taus": "1e-3",
    "fidelity": "equation,corrected",
}


class Ground(NamedTuple):
    """A run that nothing disturbed."""

    folder: Path
    data: Path  # an .npz file
    whole: Path  # with `run` and `cache` of the run
    rows: list[dict[str, Any]]
    seconds: float  # that it took, compiled programs at hand
    environment: Mapping[str, str]
    settings: Mapping[str, str]  # of it

    def flags(self, place: Path, **changes: str) -> list[str]:
        """Of such a run, with its files under `place`."""
        own = {"dataset": str(self.data), "workdir": str(place / "run"), "cache_dir": str(place / "cache")}
        return [f"--{name}={value}" for name, value in {**self.settings, **own, **changes}.items()]


def prepare(folder: Path, **changes: str) -> Ground:
    """Makes the data, runs once to compile and once undisturbed. Raises RuntimeError where that does not end well."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "tiny.npz"
    if not data.exists():
        write_data(data)
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_COMPILATION_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_COMPILATION_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }
    ground = Ground(folder, data, folder / "whole", [], 0.0, environment, {**SETTINGS, **changes})
    seconds = 0.0
    for place in (folder / "compiling", ground.whole):
        shutil.rmtree(place, ignore_errors=True)
        began = time.monotonic()
        ended = run(ground.flags(place), environment)
        seconds = time.monotonic() - began
        if ended.status != 0:
            raise RuntimeError(f"an undisturbed run ended with status {ended.status}: {ended.printed[-2000:]}")
    return ground._replace(rows=rows_of(ground.whole), seconds=seconds)


def write_data(path: Path, each: int = 60) -> None:
    """Three easily separated classes of 8 x 8 images."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(NAMES)), each)
    patterns = rng.uniform(0.2, 0.8, (len(NAMES), 8, 8, 1))
    images = np.clip(patterns[labels] + rng.normal(0, 0.1, (len(labels), 8, 8, 1)), 0, 1).astype(np.float32)
    np.savez(path, images=images, labels=labels, class_names=np.array(NAMES))


def start(arguments: Sequence[str], environment: Mapping[str, str], subcommand: str = "run") -> "subprocess.Popen[str]":
    """The real command in a process group of its own."""
    command = [sys.executable, "-m", "experiments.command", subcommand, *arguments]
    return subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
        start_new_session=True, cwd=ROOT,
    )  # fmt: skip


def run(arguments: Sequence[str], environment: Mapping[str, str], subcommand: str = "run") -> Ended:
    """The command to its end, or to the end of patience."""
    return end_of(start(arguments, environment, subcommand))


def end_of(process: "subprocess.Popen[str]", longest: float | None = None) -> Ended:
    """Waits for it; one that takes longer is killed, with all that it has started."""
    try:
        printed = process.communicate(timeout=LONGEST if longest is None else longest)[1]
        return Ended(process.returncode, printed)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return Ended(None, process.communicate()[1])


def rows_of(place: Path) -> list[dict[str, Any]]:
    """The rows of a run without wall times, in a fixed order; empty where there are none that can be read."""
    path = place / "run" / "results.jsonl"
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError):
        return []
    kept = [{key: value for key, value in row.items() if key not in WALL_TIMES} for row in rows]
    return sorted(kept, key=lambda row: json.dumps(row, sort_keys=True))
