"""The paper's figures in its own arrangement, each as PNG and PDF."""

import io
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.paper.cells import READING, Results, cell, chosen_tau
from experiments.paper.exhibits import FIGURES
from experiments.paper.numbers import printed
from experiments.paper.studies import SETS
from experiments.paper.tables import ATTACKS, NAMES, PUSHES, Entry
from overunlearn_jax.files import write_bytes
from overunlearn_jax.intervals import Interval

COLOURS = {
    "before": "#BBBBBB",
    "normal": "#777777",
    "pushing_1": "#0072B2",
    "pushing_2": "#009E73",
    "blending": "#E69F00",
}
TITLES = {"before": "Before", **ATTACKS}
PAPER_MARK: dict[str, Any] = {"marker": "D", "color": "#D55E00", "linestyle": "none", "markersize": 6, "label": "paper"}


class Drawing(NamedTuple):
    """What every figure is drawn from."""

    results: Results
    runs: Path | None  # the folder with the runs' pictures; None: only rows are at hand


def draw(name: str, drawing: Drawing, folder: Path) -> list[Path]:
    """Writes one figure as PNG and PDF; nothing where its study has not run. Returns the files."""
    if not all(study in drawing.results for study in FIGURES[name].studies):
        return []
    figure = DRAWN[name](drawing)
    if figure is None:
        return []
    paths = [folder / f"{name}.{suffix}" for suffix in ("png", "pdf")]
    for path in paths:
        picture = io.BytesIO()
        metadata = {} if path.suffix == ".png" else {"CreationDate": None}
        figure.savefig(picture, format=path.suffix[1:], dpi=150, metadata=metadata)
        write_bytes(path, picture.getvalue())
    return paths


def _value(
    drawing: Drawing, study: str, attack: str, fraction: float, measure: str, label: str = ""
) -> Interval | None:
    return cell(drawing.results, Entry(study, attack, fraction, measure, None, label)).ours


def _axes(count: int, width: float, height: float) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(1, count, squeeze=False)[0]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _bar(axes: Axes, place: float, value: Interval | None, width: float, colour: str, label: str | None) -> None:
    if value is None:
        return
    axes.bar(place, value.mean, width, color=colour, label=label)
    if not math.isnan(value.low):
        axes.errorbar(
            place, value.mean, [[value.mean - value.low], [value.high - value.mean]], color="black", capsize=3
        )


def _figure_05(drawing: Drawing) -> Figure:
    figure, panels = _axes(2, 11, 4)
    for axes, fraction in zip(panels, (0.1, 0.5), strict=True):
        for group, name in enumerate(SETS):
            for index, attack in enumerate(("before", *PUSHES)):
                place = group + 0.2 * (index - 1.5)
                label = TITLES[attack] if group == 0 else None
                _bar(axes, place, _value(drawing, name, attack, fraction, "class_a"), 0.18, COLOURS[attack], label)
                keys = {} if attack == "before" else {"fraction": fraction}
                paper = printed("figure_05", dataset=name, attack=attack, metric="class_a", **keys)
                if paper is not None:
                    axes.plot(place, paper, **PAPER_MARK | ({} if group + index == 0 else {"label": None}))
        axes.set_xticks(range(len(SETS)), [NAMES[name] for name in SETS])
        axes.set_ylim(0, 100)
        axes.set_title(f"{100 * fraction:g} % of class A requested")
    panels[0].set_ylabel("test accuracy of class A (%)")
    panels[0].legend(frameon=False, fontsize=8, ncols=2, loc="upper right")
    return figure


def _predicted(drawing: Drawing, fraction: float) -> Figure:
    tau = chosen_tau(drawing.results, "cifar10")
    figure, panels = _axes(3, 11, 3.2)
    for axes, attack in zip(panels, PUSHES, strict=True):
        rows = [
            row
            for row in drawing.results["cifar10"]
            if (row["attack"], row["fraction"], row["tau"], row["fidelity"]) == (attack, fraction, tau, READING)
        ]
        counts = np.mean([row["class_a_predicted"] for row in rows], axis=0)
        axes.bar(range(len(counts)), counts, color=COLOURS[attack])
        for place, label in enumerate(rows[0]["class_names"]):
            keys = {"attack": attack, "fraction": fraction, "metric": "predicted", "label": label}
            if (paper := printed("figure_06", **keys)) is not None:
                axes.plot(place, paper, **PAPER_MARK)
                axes.legend(frameon=False)
        axes.set_xticks(range(len(counts)), rows[0]["class_names"], rotation=60, ha="right", fontsize=8)
        axes.set_ylim(0, 1000)
        axes.set_title(TITLES[attack])
    panels[0].set_ylabel("test airplanes predicted so")
    return figure


def _drops(
    drawing: Drawing,
    points: Iterable[tuple[float, str, float]],
    series: Sequence[str],
    measure: str,
    paper: Callable[[str, str, float], float | None],
    words: tuple[str, str],
) -> Figure:
    """Lines over `points` (place on the axis, study, fraction), one for each request in `series`."""
    figure, (axes,) = _axes(1, 5.5, 3.8)
    listed = list(points)
    labelled = False
    for attack in series:
        found = [(x, _value(drawing, study, attack, fraction, measure)) for x, study, fraction in listed]
        known = [(x, value) for x, value in found if value is not None]
        means = [value.mean for _, value in known]
        errors = [[0 if math.isnan(v.low) else v.mean - v.low for _, v in known]] * 2
        axes.errorbar(
            [x for x, _ in known], means, errors, marker="o", capsize=3, color=COLOURS[attack], label=TITLES[attack]
        )
        for x, study, fraction in listed:
            value = paper(attack, study, fraction)
            if value is not None:
                axes.plot(x, value, **PAPER_MARK | ({"label": None} if labelled else {}))
                labelled = True
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlabel(words[0])
    axes.set_ylabel(words[1])
    axes.legend(frameon=False)
    return figure


def _figure_08a(drawing: Drawing) -> Figure:
    def paper(attack: str, study: str, fraction: float) -> float | None:
        del study  # Unused: one for all points.
        return printed("figure_08a", attack=attack, fraction=fraction, metric="class_b_drop")

    points = [(4000 * fraction, "cifar10", fraction) for fraction in (0.1, 0.2, 0.3, 0.4, 0.5)]
    return _drops(
        drawing, points, ("blending",), "class_b_drop", paper, ("samples requested", "points of cat beyond honest")
    )


def _figure_08b(drawing: Drawing) -> Figure:
    points = [
        (ratio, study, 0.1)
        for ratio, study in zip((0.1, 0.2, 0.3, 0.4, 0.5), FIGURES["figure_08b"].studies, strict=True)
    ]
    words = ("blending ratio", "points of cat beyond honest")
    return _drops(drawing, points, ("blending",), "class_b_drop", lambda *_: None, words)


def _figure_10(drawing: Drawing) -> Figure:
    def paper(attack: str, study: str, fraction: float) -> float | None:
        del study  # Unused: one for all points.
        return printed("figure_10", attack=attack, fraction=fraction, metric="overall_drop")

    points = [(4000 * fraction, "cifar10", fraction) for fraction in (0.1, 0.2, 0.3, 0.4, 0.5)]
    words = ("samples requested", "points overall beyond honest")
    return _drops(drawing, points, ("pushing_1", "pushing_2"), "overall_drop", paper, words)


def _pictures(drawing: Drawing, study: str, attack: str) -> dict[str, np.ndarray] | None:
    path = None if drawing.runs is None else drawing.runs / study / "pictures" / f"fraction_0.1_{attack}.npz"
    if path is None or not path.exists():
        return None
    with np.load(path) as stored:
        return dict(stored)


def _images(pictures: Sequence[tuple[str, np.ndarray]], columns: int) -> Figure:
    figure = Figure(figsize=(2.4 * columns, 2.6 * -(-len(pictures) // columns)), layout="constrained")
    panels = figure.subplots(-(-len(pictures) // columns), columns, squeeze=False).ravel()
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


DRAWN: dict[str, Callable[[Drawing], Figure | None]] = {
    "figure_03": _figure_03,
    "figure_05": _figure_05,
    "figure_06": lambda drawing: _predicted(drawing, 0.1),
    "figure_07": lambda drawing: _predicted(drawing, 0.5),
    "figure_08a": _figure_08a,
    "figure_08b": _figure_08b,
    "figure_09": _figure_09,
    "figure_10": _figure_10,
}
