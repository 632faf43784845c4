import zipfile
from pathlib import Path

import numpy as np
import pytest

from overunlearn_jax.data import load


def test_every_key(tmp_path: Path, uint8_images: np.ndarray, two_labels: np.ndarray):
    path = tmp_path / "mine.npz"
    np.savez(
        path,
        images=uint8_images,
        labels=two_labels,
        test_images=uint8_images[:6],
        test_labels=two_labels[:6].astype(np.uint8),
        class_names=np.array(["cat", "dog"]),
    )
    splits = load(str(path), seed=0)
    assert splits.spec == ("mine", (4, 5, 3), (-0.5, 0.5), ("cat", "dog"))
    assert [len(split.ids) for split in splits[1:]] == [16, 4, 6]
    np.testing.assert_allclose(splits.test.images, uint8_images[:6] / 255 - 0.5, atol=1e-7)
    np.testing.assert_allclose(splits.train.images, uint8_images[splits.train.ids] / 255 - 0.5, atol=1e-7)
    np.testing.assert_array_equal(splits.validation.labels, two_labels[splits.validation.ids])


def test_floats_of_rank_3_without_names_or_test_part(tmp_path: Path, two_labels: np.ndarray):
    images = np.linspace(0, 1, 20 * 6).reshape(20, 2, 3)
    np.savez(tmp_path / "floats.npz", images=images, labels=two_labels)
    splits = load(str(tmp_path / "floats.npz"), seed=1)
    assert splits.spec.image_shape == (2, 3, 1)
    assert splits.spec.class_names == ("0", "1")
    assert [len(split.ids) for split in splits[1:]] == [13, 3, 4]
    np.testing.assert_allclose(splits.test.images[..., 0], images[splits.test.ids] - 0.5, atol=1e-7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, r"missing \['labels'\], unknown \[\].*np.savez"),
        ({"test_image": np.zeros(3)}, r"missing \[\], unknown \['test_image'\]"),
        ({"test_labels": np.zeros(3, int)}, r"only one of 'test_images' and 'test_labels'"),
        ({"class_names": np.array([1, 2])}, r"'class_names' has dtype int64.*one string for each class"),
        (
            {"class_names": np.array(["a", "b"], dtype=object)},
            r"cannot be read: 'class_names' .*objects. These are refused",
        ),
        ({"class_names": np.array(["a"])}, r"labels lie in 0 \.\.\. 1; expected 0 \.\.\. 0"),
        ({"class_names": np.array(["a", "b", "c"])}, r"no image of class\(es\) \['c'\]"),
        ({"labels": np.arange(20) % 2 * 2}, r"no image of class\(es\) \['1'\]"),
        ({"labels": np.arange(20) % 2 + 1}, r"no image of class\(es\) \['0'\].*begin at 1, so subtract 1"),
        ({"labels": np.arange(20) + 1}, r"20 labels cannot name each of 21 classes: they begin at 1, so subtract 1"),
        ({"labels": np.where(np.arange(20) == 3, 200_000_000, 0)}, r"cannot name each of 200000001 classes: number"),
        ({"labels": np.full(20, 2**64 - 1, np.uint64)}, r"cannot name each of 18446744073709551616 classes"),
        ({"labels": np.arange(20) % 2 / 1}, r"labels are float64 .*labels\.astype\(np\.int64\)"),
        ({"labels": np.array(["cat", "dog"])[np.arange(20) % 2]}, r"labels are <U3 .*np\.unique\(labels, return_inv"),
        ({"labels": np.eye(2, dtype=int)[np.arange(20) % 2]}, r"shape \(20, 2\); .*labels\.argmax\(1\)"),
        ({"labels": np.zeros(0, int)}, r"labels are int64 of shape \(0,\); expected 20 integers"),
        ({"class_names": np.array(["a", ".."])}, r"the class name '\.\.' means a folder.*another name in this array"),
        ({"images": np.full((20, 2, 2, 1), 255.0)}, r"float images range from 255 to 255"),
    ],
)
def test_unusable_files_are_named_and_explained(
    tmp_path: Path, uint8_images: np.ndarray, two_labels: np.ndarray, changes: dict, message: str
):
    arrays = {"images": uint8_images, "labels": two_labels, **changes}
    path = tmp_path / "bad.npz"
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(ValueError, match=rf"bad\.npz.*{message}"):
        load(str(path), seed=0)


def test_not_an_archive(tmp_path: Path):
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(ValueError, match=r"text.npz cannot be read as an .npz archive"):
        load(str(tmp_path / "text.npz"), seed=0)
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"array.npz cannot be read as an .npz archive"):
        load(str(tmp_path / "array.npz"), seed=0)
    with pytest.raises(FileNotFoundError, match=r"no file at .*nowhere.npz. Give the path"):
        load(str(tmp_path / "nowhere.npz"), seed=0)


def rewrite(path: Path, arrays: dict[str, np.ndarray], **members: bytes) -> None:
    """An archive of the arrays, with the bytes of some members replaced, or with more members."""
    np.savez_compressed(path, **arrays)
    with zipfile.ZipFile(path) as archive:
        stored = {name: archive.read(name) for name in archive.namelist()} | members
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in stored.items():
            archive.writestr(name, data)


def npy(shape: str, descr: str = "'|u1'", data: bytes = bytes(10)) -> bytes:
    """An array in NumPy's format whose header says what it is told to."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"__MACOSX/images.npy": b"x"}, r"missing \[\], unknown \['__MACOSX/images'\]"),
        ({"read me.txt": b"x"}, r"unknown \['read me\.txt'\]"),
        ({"../evil.npy": b"x"}, r"unknown \['\.\./evil'\]"),
        ({"images.npy": npy("(1000000000000,)")}, r"'images' says .* takes 1,000,000,000,\d{3} bytes, and has \d+\."),
        ({"images.npy": npy("(20, 2, 2, 1)")}, r"damaged: 'images' says that it is uint8 of shape \(20, 2, 2, 1\)"),
        ({"images.npy": npy("(10,)", "'|O'")}, r"'images' is an array of Python objects\. These are refused"),
        ({"images.npy": npy("(-10,)")}, r"damaged: 'images' says"),
        ({"images.npy": npy("(10,")}, r"cannot be read as an \.npz archive of plain arrays \(.*np\.savez"),
        ({"images.npy": npy("'ten'")}, r"cannot be read as an \.npz archive of plain arrays"),
        ({"images.npy": b"\x93NUMPY\x03\x00" + bytes(50)}, r"version \(3, 0\) of NumPy's format"),
        ({"images.npy": b"nothing"}, r"cannot be read as an \.npz archive of plain arrays"),
        ({"images.npy": b""}, r"cannot be read as an \.npz archive of plain arrays"),
    ],
)
def test_an_archive_that_is_no_data_set_is_refused_before_an_array_is_read(
    tmp_path: Path, uint8_images: np.ndarray, two_labels: np.ndarray, members: dict, message: str, monkeypatch
):
    rewrite(tmp_path / "bad.npz", {"images": uint8_images, "labels": two_labels}, **members)
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(ValueError, match=rf"bad\.npz .*{message}"):
        load(str(tmp_path / "bad.npz"), seed=0)


def test_an_archive_that_would_fill_the_memory_is_refused_and_a_large_plain_one_is_not(
    tmp_path: Path, two_labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("overunlearn_jax.data.npz_file.LARGE", 10**6)
    arrays = {"images": np.zeros((20, 300, 300, 1), np.uint8), "labels": two_labels}
    np.savez_compressed(tmp_path / "black.npz", **arrays)
    np.savez(tmp_path / "plain.npz", **arrays)
    with monkeypatch.context() as patch:
        patch.setattr(np, "load", None)
        with pytest.raises(
            ValueError, match=r"black\.npz has .* would have 1,80\d,\d{3} decompressed.*np\.savez\(path"
        ):
            load(str(tmp_path / "black.npz"), seed=0)
    assert load(str(tmp_path / "plain.npz"), seed=0).spec.image_shape == (300, 300, 1)


def test_damaged_bytes_are_told_as_such(tmp_path: Path, uint8_images: np.ndarray, two_labels: np.ndarray):
    path = tmp_path / "torn.npz"
    np.savez_compressed(path, images=uint8_images, labels=two_labels)
    whole = path.read_bytes()
    path.write_bytes(whole[:300] + bytes(50) + whole[350:])
    with pytest.raises(ValueError, match=r"torn\.npz cannot be read as an \.npz archive"):
        load(str(path), seed=0)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_key_that_is_there_twice(tmp_path: Path, uint8_images: np.ndarray, two_labels: np.ndarray):
    path = tmp_path / "twice.npz"
    np.savez(path, images=uint8_images, labels=two_labels)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.npy", archive.read("labels.npy"))
    with pytest.raises(ValueError, match=r"twice\.npz holds the keys \['images', 'labels', 'labels'\].*each once"):
        load(str(path), seed=0)
