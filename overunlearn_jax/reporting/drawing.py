"""What the figures share: ink, plain axes, and PNG files written whole, without any global plotting state."""

import io
import os
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from overunlearn_jax.files import write_bytes

INK = "#222222"
_DPI = 150


def plain_axes(axes: Axes) -> None:
    """Leaves only the axes on the left and below."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=11)
    axes.set_axisbelow(True)


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Writes a figure as PNG, the whole file or nothing, and returns the path.

    Raises:
      OSError: if the file cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, facecolor="white")
    return write_bytes(path, buffer.getvalue())
