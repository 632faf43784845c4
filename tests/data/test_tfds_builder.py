import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from overunlearn_jax.data import DatasetNotAvailableError, load
from overunlearn_jax.data.tfds_builder import base_name
from tests.data import tiny_tfds


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("cifar11", "cifar10"),
        ("fashion_mnists", "fashion_mnist"),
        ("digit", "digits"),
        ("nothing alike: 7!", ""),
    ],
)
def test_unknown_names(tmp_path: Path, name: str, close: str):
    with pytest.raises(ValueError, match=r"Built in: digits, cifar10, cifar100, stl10\.") as info:
        load(name, data_dir=tmp_path, seed=0)
    assert f"unknown data set {name!r}" in str(info.value)
    assert ("Close names:" in str(info.value)) == bool(close)
    assert close in str(info.value).partition("Close names: ")[2].partition(". Expected")[0]


@pytest.mark.parametrize("name", ["stl10", "stl10:1.0.0", "stl10/config", "stl10/config:1.0.0"])
def test_base_name(name: str):
    assert base_name(name) == "stl10"


@pytest.mark.parametrize("name", ["cifar10/nothing", "cifar10:9.9.9", "cifar10_corrupted/nothing"])
def test_known_name_with_unknown_config_or_version(tmp_path: Path, name: str):
    reason = r"(BuilderConfig nothing not found|only: )"
    with pytest.raises(ValueError, match=rf"TFDS cannot open '{name}', .*TFDS says: .*{reason}") as info:
        load(name, data_dir=tmp_path, seed=0)
    configs = "brightness_1, " if name.startswith("cifar10_corrupted") else "none."
    assert f"its configs: {configs}" in str(info.value)


def pretend_tensorflow(monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    find_spec = importlib.util.find_spec
    found = importlib.util.spec_from_loader("tensorflow", loader=None) if installed else None
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: found if name == "tensorflow" else find_spec(name, package),
    )


def test_not_prepared_and_not_to_be_downloaded(tmp_path: Path):
    with pytest.raises(DatasetNotAvailableError, match=r"--data_dir=DIR") as info:
        load("mnist", data_dir=tmp_path, seed=0, download=False)
    assert f"'mnist' (data_dir: {tmp_path})" in str(info.value)
    assert f"looked for in {tmp_path}/mnist/" in str(info.value)
    assert "Downloading is switched off" in str(info.value)
    assert "pip install" not in str(info.value)
    assert isinstance(info.value, RuntimeError)


def test_not_prepared_and_no_tensorflow_to_prepare_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pretend_tensorflow(monkeypatch, installed=False)
    message = r'needs TensorFlow, which is not installed .*Run: pip install -e "\.\[prepare\]"'
    with pytest.raises(DatasetNotAvailableError, match=message) as info:
        load("mnist", data_dir=tmp_path, seed=0)
    assert "--data_dir" not in str(info.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "help_text"),
    [
        (ConnectionError("name or service not known"), "--data_dir=DIR"),
        (ModuleNotFoundError("No module named 'pydub'", name="pydub"), "Run: pip install pydub"),
    ],
)
def test_preparing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, help_text: str):
    import tensorflow_datasets as tfds

    asked = {}

    def fail(builder: Any, **options: Any) -> None:
        asked.update(options)
        raise error

    pretend_tensorflow(monkeypatch, installed=True)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(DatasetNotAvailableError, match=help_text) as info:
        load("mnist", data_dir=tmp_path, seed=0)
    assert f"failed: {type(error).__name__}: {error}" in str(info.value)
    assert info.value.__cause__ is error
    assert asked["file_format"] == "array_record"


def test_prepared_where_it_was_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uint8_images: np.ndarray):
    """Preparing is TFDS's affair; here it moves a folder, and the same call then reads it."""
    import tensorflow_datasets as tfds

    images = uint8_images.repeat(7, axis=1).repeat(6, axis=2)[:, :28, :28, :1]
    version = str(tfds.builder("mnist", data_dir=tmp_path).version)
    parts = {part: (images, np.arange(20) % 10) for part in ("train", "test")}
    tiny_tfds.write_classification(tmp_path, "mnist", parts, list("0123456789"), version=version)
    (tmp_path / "mnist").rename(tmp_path / "elsewhere")

    def download_and_prepare(builder: Any, **options: Any) -> None:
        builder.data_path.parent.mkdir()
        (tmp_path / "elsewhere" / version).rename(builder.data_path)

    pretend_tensorflow(monkeypatch, installed=True)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", download_and_prepare)
    splits = load("mnist", data_dir=tmp_path, seed=0)
    np.testing.assert_allclose(splits.train.images, images[splits.train.ids] / 255 - 0.5, atol=1e-7)


def test_unfit_sets_are_refused_before_they_are_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pretend_tensorflow(monkeypatch, installed=False)
    with pytest.raises(ValueError, match=r"'bool_q' has the features \['answer', 'passage', 'question', 'title'\]"):
        load("bool_q", data_dir=tmp_path, seed=0)
