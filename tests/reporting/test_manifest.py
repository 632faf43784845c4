"""The manifest says what a run was made with, and never stops one."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata

import numpy as np
import pytest

from overunlearn_jax.files import write_json
from overunlearn_jax.reporting import manifest
from overunlearn_jax.reporting._manifest import git_state


def git(folder, *arguments):
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return done.stdout.strip()


def test_manifest_names_versions_machine_and_start():
    before = datetime.now(UTC).replace(microsecond=0)
    result = manifest(device="one cpu")
    assert before <= datetime.fromisoformat(result["started_utc"]) <= datetime.now(UTC)
    assert result["python"] == platform.python_version()
    assert result["versions"]["numpy"] == np.__version__
    assert result["versions"]["jax"] == metadata.version("jax")
    assert result["versions"].keys() >= {"jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets"}
    assert 1 <= result["cpu_cores"] <= os.cpu_count()
    assert result["command"].startswith("python ")
    assert result["device"] == "one cpu"
    assert json.loads(json.dumps(result)) == result


def test_extras_cannot_hide_an_entry():
    with pytest.raises(ValueError, match="already has python"):
        manifest(python="2.7")


def test_a_missing_package_is_null(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert set(manifest()["versions"].values()) == {None}


def test_manifest_does_not_need_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = manifest()
    assert result["git_commit"] is None
    assert result["git_dirty"] is None


def test_git_state_of_a_checkout(tmp_path):
    file = tmp_path / "package" / "module.py"
    file.parent.mkdir()
    file.write_text("first")
    assert git_state(file) == (None, None)  # outside a checkout
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    assert git_state(file) == (None, None)  # no commit yet
    git(tmp_path, "commit", "-q", "-m", "first")
    assert git_state(file) == (git(tmp_path, "rev-parse", "HEAD"), False)
    file.write_text("second")
    assert git_state(file) == (git(tmp_path, "rev-parse", "HEAD"), True)


def test_git_state_of_an_installed_copy_inside_a_foreign_checkout(tmp_path):
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "foreign")
    (tmp_path / "module.py").write_text("installed")
    assert git_state(tmp_path / "module.py") == (None, None)


def test_write_json_is_whole_or_nothing(tmp_path):
    path = write_json(tmp_path / "deep" / "m.json", {"a": np.float64(0.5), "b": [np.int32(1)], "c": tmp_path, "d": "ü"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 0.5, "b": [1], "c": str(tmp_path), "d": "ü"}
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    with pytest.raises(TypeError, match="cannot hold a set"):
        write_json(path, {"a": {1}})
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["m.json"]


def test_a_failed_replace_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = write_json(tmp_path / "m.json", {"a": 1})

    def fail(source, target):
        raise OSError("refused")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="refused"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["m.json"]
