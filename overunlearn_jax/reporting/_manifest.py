"""What a run was made with, so that its numbers can be made again."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    "overunlearn_jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "tensorflow-datasets",
)


def manifest(**extra: Any) -> dict[str, Any]:
    """Returns what is known about this run: versions, machine, code, start (now, in UTC) and command line.

    Whatever cannot be found out is None. The device is not among it, since this package does not import jax:
    give it as an extra.

    Args:
      **extra: further entries, such as `device="cpu"`.

    Raises:
      ValueError: if an extra has the name of an entry that is already there.
    """
    commit, dirty = git_state(Path(__file__))
    result: dict[str, Any] = {
        "started_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(),
        "git_commit": commit,
        "git_dirty": dirty,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cpu_cores": _cpu_cores(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }
    taken = sorted(result.keys() & extra.keys())
    if taken:
        raise ValueError(f"the manifest already has {', '.join(taken)}.")
    return result | extra


def command_line() -> str:
    """Returns the command line of this process as it can be typed anywhere: without the folders of the programs."""
    words = sys.orig_argv[1:]
    if words and Path(words[0]).name == "overunlearn":  # the command of this package: a script that Python runs
        return shlex.join(["overunlearn", *words[1:]])
    return shlex.join(["python", *words])


def git_state(file: Path) -> tuple[str | None, bool | None]:
    """Returns the commit of the checkout that tracks `file`, and whether its tree has uncommitted changes.

    Both are None where git is missing, or where no commit tracks the file (an installed copy, for instance).
    """
    tracked = _git(file.parent, "ls-files", "--error-unmatch", file.name)
    commit = _git(file.parent, "rev-parse", "--verify", "HEAD")
    changes = _git(file.parent, "status", "--porcelain")
    if tracked is None or commit is None:
        return None, None
    return commit.strip(), None if changes is None else bool(changes.strip())


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            check=True,
            encoding="utf-8",
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    return done.stdout


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except (OSError, UnicodeError):
        pass
    return platform.processor() or None


def _cpu_cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))  # those this process may use
    return os.cpu_count()
