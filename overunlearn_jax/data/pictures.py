"""One encoded picture to an array of pixels: which formats are read, which way is up, grey or colour, what size."""

import numpy as np
from PIL import ExifTags, Image, ImageOps

# Those of the suffixes in `image_folder`. Pillow goes by what a file holds, whatever it is called, and starts another
# program to read some formats (Ghostscript for EPS): it is told to try these alone.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
GREY_MODES = ("L", "LA")  # of Pillow: grey values of 8 bits, without and with transparency

_SIDEWAYS = (5, 6, 7, 8)  # values of the EXIF orientation that exchange width and height


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an opened picture once it is upright. Decodes only one that lies on its side."""
    if image.width != image.height and _orientation(image) in _SIDEWAYS:
        ImageOps.exif_transpose(image, in_place=True)
    return image.size


def turn_upright(image: Image.Image) -> None:
    """Decodes an opened picture and turns it as its EXIF orientation says; one that cannot be read turns nothing."""
    image.load()
    if _orientation(image) != 1:
        ImageOps.exif_transpose(image, in_place=True)


def to_pixels(image: Image.Image, mode: str, side: int | None) -> np.ndarray:
    """The picture as uint8, shape=(h, w, c).

    Args:
      image: opened by Pillow.
      mode: Pillow's "L" (c = 1), "RGB" (3) or "RGBA" (4). Without an alpha channel in it transparency is dropped: a
        pixel has the colour that the file holds for it, as in torchvision's ImageFolder and in Keras.
      side: where given, the picture is scaled, up or down, until its shorter side has so many pixels, and the middle
        of the longer side is kept: h = w = side. Bicubic, over all pixels that a new one covers. None: as it is.
    """
    image.load()
    if mode in ("L", "RGB"):
        image.info.pop("transparency", None)  # of a palette: converting warns of it
    image = image.convert(mode)
    if side is not None:
        image = ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def check_side(image_size: int | None) -> None:
    """Raises ValueError unless `image_size` is None or a number of pixels."""
    if image_size is None:
        return
    if isinstance(image_size, bool) or not isinstance(image_size, int | np.integer) or image_size < 1:
        raise ValueError(f"image_size is {image_size!r}, expected a side in pixels, at least 1, or None")


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged EXIF block raises many kinds; viewers show such a picture as it is stored
        return 1
