"""Writing figures."""

import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from overunlearn_jax.files import write_bytes


def save_figure(figure: Figure, path: Path) -> Path:
    """Writes a figure in the format of the path's suffix, without the time of day."""
    picture = io.BytesIO()
    metadata: dict[str, Any] = {"CreationDate": None} if path.suffix == ".pdf" else {}
    figure.savefig(picture, format=path.suffix[1:], dpi=150, metadata=metadata)
    return write_bytes(path, picture.getvalue())
