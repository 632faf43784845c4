"""A request as it would travel: 8-bit PNG files in a folder for each submitted label, and exact images in a .npz."""

import io
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from overunlearn_jax.files import write_bytes
from overunlearn_jax.stealth.pixels import to_8_bits
from overunlearn_jax.types import DatasetSpec, UnlearningRequest


def request_file(workdir: Path, name: str) -> Path:
    """The .npz file of a request, written last."""
    return workdir / "requests" / f"{name}.npz"


def save_request(workdir: Path, name: str, request: UnlearningRequest, spec: DatasetSpec) -> Path:
    """Writes `workdir/requests/NAME.npz` and `workdir/requests/NAME/LABEL/ID.png`; returns the .npz file's path.

    The .npz holds `images` as float32, as the attack made them, `labels` as submitted and the samples' `ids`. Only
    grey and RGB images become PNG files.
    """
    folder = workdir / "requests"
    shutil.rmtree(folder / name, ignore_errors=True)  # of an earlier run
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=request.images, labels=request.labels, ids=request.original_ids)
    if spec.image_shape[-1] in (1, 3):
        pixels = to_8_bits(request.images, spec.bounds)
        for image, label, identity in zip(pixels, request.labels, request.original_ids, strict=True):
            picture = io.BytesIO()
            Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(picture, format="PNG")
            label_name = spec.class_names[label].replace("/", "_")
            write_bytes(folder / name / label_name / f"{identity}.png", picture.getvalue())
    return write_bytes(request_file(workdir, name), buffer.getvalue())
