"""A request as it would travel: 8-bit PNG files in a folder for each submitted label, and exact images in a .npz."""

import io
import shutil
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from overunlearn_jax.files import write_bytes
from overunlearn_jax.stealth.pixels import to_8_bits
from overunlearn_jax.types import DatasetSpec, UnlearningRequest

LONGEST_NAME = 100  # bytes; file systems take 255
_REFUSED = '<>:"/\\|?*'  # by one file system or another


def request_file(workdir: Path, name: str) -> Path:
    """The .npz file of a request, written last."""
    return workdir / "requests" / f"{name}.npz"


def save_request(workdir: Path, name: str, request: UnlearningRequest, spec: DatasetSpec) -> Path:
    """Writes `workdir/requests/NAME.npz` and `workdir/requests/NAME/LABEL/ID.png`; returns the .npz file's path.

    The .npz holds `images` as float32, as the attack made them, `labels` as submitted and the samples' `ids`. LABEL is
    the class name, or what `folder_names` makes of it. A sample that comes again is ID_2.png, ID_3.png and so on. Only
    grey and RGB images become PNG files.
    """
    folder = workdir / "requests"
    shutil.rmtree(folder / name, ignore_errors=True)  # of an earlier run
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=request.images, labels=request.labels, ids=request.original_ids)
    if spec.image_shape[-1] in (1, 3):
        pixels, labels = to_8_bits(request.images, spec.bounds), folder_names(spec.class_names)
        written = Counter[int]()
        for image, label, identity in zip(pixels, request.labels, request.original_ids.tolist(), strict=True):
            written[identity] += 1
            file = f"{identity}.png" if written[identity] == 1 else f"{identity}_{written[identity]}.png"
            picture = io.BytesIO()
            Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(picture, format="PNG")
            write_bytes(folder / name / labels[label] / file, picture.getvalue())
    return write_bytes(request_file(workdir, name), buffer.getvalue())


def folder_names(class_names: Sequence[str]) -> list[str]:
    """A folder for each class: its name, where every file system can hold all names and tell them apart.

    Otherwise all folders begin with the label's number, and what cannot be in a name is replaced.

    >>> folder_names(["ant", "bee"]), folder_names(["a/b", "a:b"])
    (['ant', 'bee'], ['0_a_b', '1_a_b'])
    """
    told_apart = {unicodedata.normalize("NFC", name).casefold() for name in class_names}
    if len(told_apart) == len(class_names) and all(name == _allowed(name) for name in class_names):
        return list(class_names)
    return [f"{label}_{_allowed(name)}" for label, name in enumerate(class_names)]


def _allowed(name: str) -> str:
    """A name without what a file system refuses, reads as something else, or finds too long; may be empty."""
    kept = "".join("_" if unicodedata.category(each)[0] == "C" or each in _REFUSED else each for each in name)
    short = kept.encode()[:LONGEST_NAME].decode(errors="ignore")
    return short.strip().strip(".")
