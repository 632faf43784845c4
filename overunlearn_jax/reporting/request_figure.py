"""The images of a request beside the originals, as one PNG file."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from overunlearn_jax.attack_names import attack_name
from overunlearn_jax.reporting.drawing import save


def request_pictures(
    path: str | os.PathLike[str],
    originals: np.ndarray,
    submitted: Mapping[str, np.ndarray],
    titles: Sequence[str],
    bounds: tuple[float, float],
    count: int = 6,
) -> Path:
    """Draws original images over what each attack submits in their place, and the amplified difference.

    Args:
      path: the PNG file to write.
      originals: shape=(n, h, w, c), c 1 or 3, in `bounds`.
      submitted: by attack, shape=(n, h, w, c): the image submitted for each original, in the same order.
      titles: n words, one above each column.
      bounds: lowest and highest pixel value.
      count: most images to draw; the first ones are.

    Returns:
      The path.

    Raises:
      ValueError: if there is nothing to draw, or shapes, channels, titles or bounds do not fit.
      OSError: if the file cannot be written.
    """
    lower, upper = bounds
    originals = np.asarray(originals)
    if originals.ndim != 4 or originals.shape[-1] not in (1, 3):
        raise ValueError(f"originals must have shape (n, h, w, 1 or 3), got {originals.shape}.")
    if len(originals) == 0 or count < 1 or not submitted:
        raise ValueError("nothing to draw: originals, submitted and count must not be empty.")
    if len(titles) != len(originals):
        raise ValueError(f"{len(originals)} originals need as many titles, got {len(titles)}.")
    if not upper > lower:
        raise ValueError(f"bounds must rise, got {bounds}.")
    for attack, images in submitted.items():
        if np.shape(images) != originals.shape:
            raise ValueError(f"{attack} has shape {np.shape(images)}, the originals have {originals.shape}.")

    originals = originals[:count]
    lines: list[tuple[str, np.ndarray]] = [("original", (originals - lower) / (upper - lower))]
    for attack, images in submitted.items():
        images = np.asarray(images)[:count]
        factor = _amplification(images - originals, upper - lower)
        difference = 0.5 + factor * (images - originals) / (upper - lower)
        lines.append((attack_name(attack, at_start=True), (images - lower) / (upper - lower)))
        lines.append((f"difference\n× {factor:g}", difference))

    figure = Figure(figsize=(1.4 + 1.25 * len(originals), 0.9 + 1.25 * len(lines)), layout="constrained")
    panels = figure.subplots(len(lines), len(originals), squeeze=False)
    for line, (name, pictures) in zip(panels, lines, strict=True):
        for axes, picture in zip(line, np.clip(pictures, 0.0, 1.0), strict=True):
            picture = picture[..., 0] if picture.shape[-1] == 1 else picture
            axes.imshow(picture, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=11, rotation=0, ha="right", va="center", labelpad=8)
    for axes, title in zip(panels[0], titles, strict=False):
        axes.set_title(title, fontsize=11)
    figure.suptitle("What is submitted in place of each image, and the difference from it", fontsize=12)
    return save(figure, path)


def _amplification(difference: np.ndarray, width: float) -> float:
    """Returns the largest of 1, 2, 5, 10, 20, ... that keeps the differences inside the picture's range."""
    largest = float(np.abs(difference).max())
    if largest == 0.0:
        return 1.0
    room = 0.5 * width / largest
    decade = 10.0 ** math.floor(math.log10(room)) if room >= 1.0 else 1.0
    return max(1.0, max(step * decade for step in (1.0, 2.0, 5.0) if step == 1.0 or step * decade <= room))
