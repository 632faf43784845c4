"""The paper's figures in its own arrangement, each as PNG and PDF."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.paper import charts
from experiments.paper.cells import Results
from experiments.paper.exhibits import studies_of
from experiments.run.figures import PICTURES_REMEDY, STORED
from experiments.run.pictures import save_figure
from overunlearn_jax.files import read_npz


class Drawing(NamedTuple):
    """What every figure is drawn from."""

    results: Results
    runs: Path  # the folder of the runs; their pictures may be missing


def draw(name: str, drawing: Drawing, folder: Path) -> list[Path]:
    """Writes one figure as PNG and PDF; nothing where a run or its pictures are missing. Returns the files."""
    if not all(study in drawing.results for study in studies_of(name)):
        return []
    figure = DRAWN[name](drawing)
    if figure is None:
        return []
    return [save_figure(figure, folder / f"{name}.{suffix}") for suffix in ("png", "pdf")]


def _pictures(drawing: Drawing, study: str, attack: str) -> dict[str, np.ndarray] | None:
    path = drawing.runs / study / "pictures" / f"fraction_0.1_{attack}.npz"
    if not path.exists():
        return None
    return read_npz(path, STORED, PICTURES_REMEDY)


def _images(pictures: Sequence[tuple[str, np.ndarray]], columns: int) -> Figure:
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(2.4 * columns, 2.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (title, image) in zip(panels, pictures, strict=False):
        axes.imshow(np.clip(image + 0.5, 0, 1))
        axes.set_title(title, fontsize=10)
    for axes in panels:
        axes.axis("off")
    return figure


def _figure_03(drawing: Drawing) -> Figure | None:
    stored = _pictures(drawing, "cifar10_blending_0.5", "blending")
    if stored is None:
        return None
    airplane, blended = stored["originals"][0], stored["submitted"][0]
    return _images([("airplane", airplane), ("cat", 2 * blended - airplane), ("blended", blended)], 3)


def _figure_09(drawing: Drawing) -> Figure | None:
    stored = _pictures(drawing, "stl10", "pushing_1")
    if stored is None:
        return None
    pairs = zip(stored["originals"][:2], stored["submitted"][:2], strict=True)
    return _images([each for pair in pairs for each in zip(("original", "pushed"), pair, strict=True)], 2)


def _figure_08a(drawing: Drawing) -> Figure:
    return charts.points_lost(drawing.results, "figure_08a", ("samples requested", "points of cat beyond honest"))


def _figure_08b(drawing: Drawing) -> Figure:
    return charts.points_lost(drawing.results, "figure_08b", ("blending ratio", "points of cat beyond honest"))


def _figure_10(drawing: Drawing) -> Figure:
    words = ("samples requested", "points overall beyond honest")
    return charts.points_lost(drawing.results, "figure_10", words, ceiling=True)


DRAWN: dict[str, Callable[[Drawing], Figure | None]] = {
    "figure_03": _figure_03,
    "figure_05": lambda drawing: charts.class_a_bars(drawing.results),
    "figure_06": lambda drawing: charts.predicted_labels(drawing.results, "figure_06"),
    "figure_07": lambda drawing: charts.predicted_labels(drawing.results, "figure_07"),
    "figure_08a": _figure_08a,
    "figure_08b": _figure_08b,
    "figure_09": _figure_09,
    "figure_10": _figure_10,
    "tau": lambda drawing: charts.tau_curves(drawing.results),
}
