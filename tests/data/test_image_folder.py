import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from overunlearn_jax.data import digest, load
from overunlearn_jax.data.image_folder import read_image_folder


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
    with pytest.raises(ValueError, match=r"b/5.png is 7 x 4 pixels and .*a/0.png is 5 x 4 .*--image_size=SIDE"):
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


def test_a_file_that_is_something_else_than_its_name_says_is_not_decoded(folder: Path):
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 4\n%%EndComments\nshowpage\n"  # Pillow runs Ghostscript
    (folder / "a" / "2.png").write_bytes(eps)
    with pytest.raises(ValueError, match=r"a/2.png cannot be read as an image .*expected one of BMP, GIF, JPEG, PNG"):
        load(str(folder), seed=0)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("side", [10_000, 30_000])  # Pillow warns of the first and refuses the second
@pytest.mark.parametrize("image_size", [None, 4])
def test_a_header_that_declares_too_many_pixels_is_one_clear_line(folder: Path, side: int, image_size: int | None):
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"")) + _chunk(b"IEND", b"")
    (folder / "b" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(
        ValueError, match=r"^\S*b/3.png declares a picture that is too large to decode .*smaller"
    ) as caught:
        load(str(folder), seed=0, image_size=image_size)
    assert "\n" not in str(caught.value)


def test_class_names_that_no_report_can_show_are_refused(folder: Path):
    (folder / "b").rename(folder / "two\nlines")
    with pytest.raises(ValueError, match=r"class name 'two\\nlines' holds a control character.*Rename the folder"):
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


def sideways(orientation: int) -> tuple[Image.Image, Image.Exif]:
    """A black picture of 6 x 4 pixels with a white left half, and EXIF data that say how it is to be turned."""
    image, exif = Image.new("L", (6, 4)), Image.Exif()
    image.paste(255, (0, 0, 3, 4))
    exif[ExifTags.Base.Orientation] = orientation
    return image, exif


# Which half is white when a viewer shows it (TIFF 6.0, page 36): 1 left, 3 right, 6 top, 8 bottom.
UPRIGHT = {1: np.s_[:, :3], 3: np.s_[:, 3:], 6: np.s_[:3], 8: np.s_[3:]}


@pytest.mark.parametrize("suffix", ["png", "tiff", "jpg"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_images_are_upright_as_a_viewer_shows_them(tmp_path: Path, suffix: str, orientation: int):
    image, exif = sideways(orientation)
    for name in "abcdefgh":
        folder = tmp_path / name[:1].translate(str.maketrans("abcdefgh", "aaaabbbb"))
        folder.mkdir(exist_ok=True)
        image.save(folder / f"{name}.{suffix}", exif=exif)
    images = read_image_folder(tmp_path).train.images
    assert images.shape == (8, *((4, 6) if orientation in (1, 3) else (6, 4)), 1)
    expected = np.zeros(images.shape[1:3])
    expected[UPRIGHT[orientation]] = 255
    np.testing.assert_allclose(images[..., 0], np.broadcast_to(expected, images.shape[:3]), atol=20)  # JPEG rounds


def test_upright_images_may_lie_on_their_side_in_some_files(tmp_path: Path):
    save(tmp_path / "a" / "0.png", 0, "L", size=(4, 6))
    image, exif = sideways(6)
    image.save(tmp_path / "a" / "1.png", exif=exif)
    save(tmp_path / "b" / "0.png", 0, "L", size=(4, 6))
    images = read_image_folder(tmp_path).train.images
    assert images.shape == (3, 6, 4, 1)
    assert images[1, :3].min() == 255


def test_a_damaged_exif_block_turns_nothing(tmp_path: Path):
    for name in "ab":
        (tmp_path / name).mkdir()
        sideways(1)[0].save(tmp_path / name / "0.jpg", exif=b"Exif\0\0no TIFF header")
    assert read_image_folder(tmp_path).train.images.shape == (2, 4, 6, 1)


def test_a_grey_file_with_transparency_leaves_a_grey_set_grey(tmp_path: Path):
    for value in range(3):
        save(tmp_path / "a" / f"{value}.png", value, "L")
        save(tmp_path / "b" / f"{value}.png", value, "L")
    Image.merge("LA", (Image.new("L", (5, 4), 77), Image.new("L", (5, 4), 10))).save(tmp_path / "b" / "3.png")
    images = read_image_folder(tmp_path).train.images
    assert images.shape == (7, 4, 5, 1)
    assert (images[6] == 77).all()


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_transparency_is_dropped_and_the_colour_of_the_file_stays(tmp_path: Path, mode: str):
    for name in "ab":
        save(tmp_path / name / "0.png", 9)
    red = Image.new("RGBA", (5, 4), (200, 30, 60, 0))
    if mode == "P":
        red = Image.new("P", (5, 4))
        red.putpalette([200, 30, 60])
        red.info["transparency"] = bytes([0])  # as bytes: Pillow warns of it, and warnings are errors here
    red.save(tmp_path / "b" / "1.png")
    images = read_image_folder(tmp_path).train.images
    assert (images[2] == (200, 30, 60)).all()


def test_image_size_makes_a_square_of_the_middle(tmp_path: Path):
    stripes = Image.new("L", (40, 20), 255)
    stripes.paste(0, (10, 0, 30, 20))  # the middle square is black, what is cut off is white
    (tmp_path / "a").mkdir()
    stripes.save(tmp_path / "a" / "0.png")
    save(tmp_path / "b" / "0.png", 80, "L", size=(3, 8))
    exact = np.random.default_rng(0).integers(0, 256, (10, 10), np.uint8)
    Image.fromarray(exact).save(tmp_path / "b" / "1.png")
    image, exif = sideways(6)
    image.resize((60, 40), Image.Resampling.NEAREST).save(tmp_path / "b" / "2.png", exif=exif)
    images = read_image_folder(tmp_path, 10).train.images[..., 0]
    assert images.shape == (4, 10, 10)
    assert (images[0][:, 1:-1] == 0).all()
    assert (images[1] == 80).all()  # made larger
    np.testing.assert_array_equal(images[2], exact)
    assert images[3, 0].min() > 250, "turned first"
    assert images[3, -1].max() < 5


def test_image_size_of_a_power_of_two_is_nearly_the_mean_of_what_a_pixel_covers(tmp_path: Path):
    smooth = np.add.outer(np.arange(32), 2 * np.arange(32)).astype(np.uint8)
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(smooth).save(tmp_path / name / "0.png")
    images = read_image_folder(tmp_path, 8).train.images[0, ..., 0]
    means = smooth.reshape(8, 4, 8, 4).mean((1, 3))
    np.testing.assert_allclose(images[1:-1, 1:-1], means[1:-1, 1:-1], atol=1)


def test_without_an_image_size_the_digest_is_what_it_was_before_there_was_one(tmp_path: Path):
    for value in range(12):
        save(tmp_path / "photos" / "ab"[value % 2] / f"{value:02}.{('png', 'gif', 'bmp')[value % 3]}", 20 * value)
    Image.new("RGBA", (5, 4), (200, 30, 60, 9)).save(tmp_path / "photos" / "a" / "12.png")
    Image.new("1", (5, 4), 1).save(tmp_path / "photos" / "b" / "13.png")
    before = "1b9f42de1fc04ee8"
    assert digest(load(str(tmp_path / "photos"), seed=0)) == before
    assert digest(load(str(tmp_path / "photos"), seed=0, image_size=4)) != before
