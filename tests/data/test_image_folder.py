from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from overunlearn_jax.data import load


def save(path: Path, value: int, mode: str = "RGB", size: tuple[int, int] = (5, 4)) -> None:
    """A file of `size` (width, height) filled with `value`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).convert(mode).save(path)


def test_classes_are_folders(tmp_path: Path):
    for value in range(12):
        save(tmp_path / "pets" / ("cat" if value % 2 else "Dog") / f"{value:02}.png", value)
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "pets" / ".cache").mkdir()
    splits = load(str(tmp_path / "pets"), seed=0)
    assert splits.spec == ("pets", (4, 5, 3), (-0.5, 0.5), ("Dog", "cat"))
    values = np.array([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11])  # by class, then by file name
    assert sorted(np.concatenate([split.ids for split in splits[1:]])) == list(range(12))
    for split in splits[1:]:
        np.testing.assert_array_equal(split.labels, split.ids >= 6)
        np.testing.assert_allclose(split.images[:, 3, 4, 2], values[split.ids] / 255 - 0.5, atol=1e-7)


def test_train_and_test_folders(tmp_path: Path):
    for value in range(10):
        save(tmp_path / "train" / "ab"[value % 2] / f"{value}.png", value, mode="L")
    save(tmp_path / "test" / "b" / "x.png", 200, mode="L")
    splits = load(str(tmp_path), seed=0)
    assert splits.spec.image_shape == (4, 5, 1)
    assert splits.test.labels.tolist() == [1]
    np.testing.assert_allclose(splits.test.images, 200 / 255 - 0.5, atol=1e-7)
    assert sorted(np.r_[splits.train.ids, splits.validation.ids]) == list(range(10))


def test_a_class_may_be_called_train(tmp_path: Path):
    for value in range(6):
        save(tmp_path / "train" / f"{value}.png", value)
        save(tmp_path / "bus" / f"{value}.png", value)
    assert load(str(tmp_path), seed=0).spec.class_names == ("bus", "train")


def test_one_colour_file_makes_all_of_them_rgb(tmp_path: Path):
    for value in range(10):
        save(tmp_path / "ab"[value % 2] / f"{value}.png", value, mode="L")
    save(tmp_path / "a" / "red.png", 0)
    Image.new("RGB", (5, 4), (255, 0, 0)).save(tmp_path / "a" / "red.png")
    splits = load(str(tmp_path), seed=0)
    assert splits.spec.image_shape == (4, 5, 3)
    pixels = np.concatenate([split.images[:, 0, 0] for split in splits[1:]])
    assert (pixels == [0.5, -0.5, -0.5]).all(axis=1).sum() == 1
    assert (pixels == pixels[:, :1]).all(axis=1).sum() == 10


def test_relative_paths_need_a_separator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for value in range(6):
        save(tmp_path / "photos" / "ab"[value % 2] / f"{value}.png", value)
    monkeypatch.chdir(tmp_path)
    assert load("./photos", seed=0).spec.name == "photos"
    with pytest.raises(ValueError, match=r"unknown data set 'photos'.*write \./photos"):
        load("photos", seed=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for value in range(10):
        save(tmp_path / "ab"[value % 2] / f"{value}.png", value)
    return tmp_path


def test_different_sizes_name_the_first_such_file(folder: Path):
    save(folder / "b" / "5.png", 0, size=(7, 4))
    save(folder / "b" / "7.png", 0, size=(9, 4))
    with pytest.raises(ValueError, match=r"b/5.png is 7 x 4 pixels and .*a/0.png is 5 x 4 .*Resize"):
        load(str(folder), seed=0)


def test_unreadable_files_are_named(folder: Path):
    whole = (folder / "a" / "2.png").read_bytes()
    (folder / "a" / "2.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"a/2.png cannot be read as an image .*Replace or remove"):
        load(str(folder), seed=0)
    (folder / "a" / "2.png").write_bytes(whole[:50])  # the header is there, the pixels are not
    with pytest.raises(ValueError, match=r"a/2.png cannot be read as an image"):
        load(str(folder), seed=0)


def test_sixteen_bit_files_are_refused(folder: Path):
    Image.fromarray(np.full((4, 5), 60000, np.uint16)).save(folder / "a" / "2.png")
    with pytest.raises(ValueError, match=r"a/2.png has more than 8 bits a channel \(Pillow's mode 'I;16'\)"):
        load(str(folder), seed=0)


def test_unusable_folders(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    (folder / "c").mkdir()
    with pytest.raises(ValueError, match=r"no image files in the class folder\(s\) \['c'\].*\.png.*remove"):
        load(str(folder), seed=0)
    with pytest.raises(ValueError, match=r"has no sub-folders, expected one for each class"):
        load(str(folder / "c"), seed=0)
    with pytest.raises(FileNotFoundError, match=r"no directory at .*nowhere.*Expected a folder of images"):
        load(str(folder / "nowhere"), seed=0)
    parts = tmp_path_factory.mktemp("parts")
    save(parts / "train" / "a" / "0.png", 0)
    save(parts / "test" / "z" / "0.png", 0)
    with pytest.raises(ValueError, match=r"test holds the classes \['z'\] that .*train does not have"):
        load(str(parts), seed=0)
    save(parts / "val" / "a" / "0.png", 0)
    with pytest.raises(ValueError, match=r"holds \['val'\] beside 'train'"):
        load(str(parts), seed=0)
