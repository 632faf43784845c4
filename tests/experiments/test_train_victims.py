"""`python -m experiments.victims`: trains, attacks nothing, and a run finds what it trained."""

import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.victims import __main__ as train_victims
from experiments.victims import cache, kept
from overunlearn_jax.digests import read_sealed
from overunlearn_jax.files import settings_hash, write_npz
from overunlearn_jax.models import vgg
from overunlearn_jax.types import Variables
from tests.experiments import tiny
from tests.experiments.running import MakeConfig, ready, refuse


def test_a_run_finds_what_was_trained_before(config: MakeConfig, tmp_path, monkeypatch: pytest.MonkeyPatch):
    settings = config(cache_dir=str(tmp_path / "cache"), attacks=("normal",))
    line = train_victims.train(settings, 0)
    assert " 3 epochs, accuracy " in line
    monkeypatch.setattr(cache, "fit", refuse)
    victim = ready(settings).victim
    assert f"seed 0: {victim.trained_as} with the weights {victim.name}" in line
    assert not (tmp_path / "cache" / "pushes").exists()


def test_kept_weights_are_found_and_not_trained(config: MakeConfig, tmp_path, monkeypatch: pytest.MonkeyPatch):
    first = config(cache_dir=str(tmp_path / "first"), attacks=("normal",))
    line = train_victims.train(first, 0, str(tmp_path / "kept"))
    trained = ready(first).victim
    monkeypatch.setattr(cache, "fit", refuse)
    monkeypatch.setattr(kept, "KEPT", tmp_path / "kept")
    second = config(cache_dir=str(tmp_path / "second"), attacks=("normal",))
    assert "weights that were kept" in train_victims.train(second, 0)
    found = ready(second).victim
    assert found.name == trained.name
    assert found.name in line
    jax.tree.map(np.testing.assert_array_equal, found.service.variables, trained.service.variables)


@pytest.mark.parametrize("path", sorted(kept.KEPT.glob("*.json")), ids=lambda path: path.stem)
def test_the_weights_in_the_repository_are_what_their_notes_say(path: Path):
    noted = read_sealed(path, "", required=True)
    settings = noted["settings"]
    assert settings_hash(settings) == path.stem
    assert settings["recipe"] == cache.RECIPE  # or they are found by nobody
    own = {name: settings[name] for name in ("blocks", "width", "batch_norm_momentum")}
    like = jax.eval_shape(vgg(10, (32, 32, 3), **own).init, jax.random.key(0))
    found = kept.find(path.stem, like)
    assert found is not None
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    assert 0.7 < noted["test_accuracy"] < 1


def test_weights_that_are_not_what_was_kept_are_refused(tmp_path):
    variables = Variables({"head": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}})
    settings = {"width": 4}
    path = kept.keep(tmp_path, settings, variables, {"test_accuracy": 0.5})
    jax.tree.map(np.testing.assert_array_equal, kept.find(settings_hash(settings), variables, tmp_path), variables)
    assert kept.find("another", variables, tmp_path) is None
    other = Variables({"head": {"kernel": np.zeros((3, 3), np.float32)}})
    with pytest.raises(ValueError, match=r"has params.head.kernel of shape \(2, 3\); expected \(3, 3\): take the file"):
        kept.find(settings_hash(settings), other, tmp_path)
    write_npz(path, **{"params.head.kernel": np.ones((2, 3), np.float32)})
    with pytest.raises(ValueError, match="holds other weights than"):
        kept.find(settings_hash(settings), variables, tmp_path)


@pytest.mark.parametrize("flag", ["--service=a:B", "--unlearning=sisa", "--trained=a:b"])
def test_what_has_no_single_model_to_train_is_refused(flag: str):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.victims", "--dataset=cifar10", flag],
        cwd=tiny.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: this command trains single models")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--flagfile=commented.cfg"], "error: --flagfile=commented.cfg has the line '--experiment=trial # note'"),
        (["--cache_dir=commented.cfg/cache"], "error: --cache_dir=commented.cfg/cache cannot be made or written to"),
        (["--seeds=0"], "error: JAX_PLATFORMS=foo, and JAX finds no such device here"),
    ],
)
def test_errors_are_one_line(tmp_path, arguments: list[str], message: str):
    (tmp_path / "commented.cfg").write_text("--experiment=trial # note\n")
    platform = {"JAX_PLATFORMS": "foo"} if arguments == ["--seeds=0"] else {}
    done = subprocess.run(
        tiny.command(*arguments, module="experiments.victims"),
        cwd=tmp_path,
        env=tiny.environment() | platform,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
