"""The site's pictures, drawn from rows of runs or from scikit-learn's digits, each for light and for dark pages."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from overunlearn_jax.attack_names import attack_name
from overunlearn_jax.forgetting import membership, true_label_confidence
from overunlearn_jax.statistics.intervals import mean_interval
from overunlearn_jax.statistics.power import power_of

RESULTS = Path(__file__).parents[1] / "experiments" / "results"
BLUE, ORANGE, GREY = "#4c8fd6", "#e07b39", "#8a8a8a"  # seen on white and on black
INK = {"light": "#222222", "dark": "#dddddd"}
Rows = list[dict[str, Any]]


def make(folder: Path) -> None:
    """Writes NAME-light.svg and NAME-dark.svg for each picture."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (draw, width, height) in PICTURES.items():
        for look, ink in INK.items():
            with _look(ink):
                figure = Figure(figsize=(width, height), layout="constrained")
                draw(figure.subplots())
                figure.savefig(folder / f"{name}-{look}.svg", transparent=True, metadata={"Date": None})


@contextmanager
def _look(ink: str) -> Iterator[None]:
    colours = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    spines = {"axes.spines.top": False, "axes.spines.right": False}
    settings = dict.fromkeys(colours, ink) | spines | {"svg.hashsalt": "overunlearn_jax", "font.size": 11}
    with mpl.rc_context(settings):
        yield


def _read(path: str) -> Rows:
    return [json.loads(line) for line in (RESULTS / path).read_text().splitlines()]


def _bars(axes: Axes, values: Mapping[str, np.ndarray], colours: list[str]) -> None:
    """A bar for each mean, with a dot for each victim and an interval."""
    for position, (each, colour) in enumerate(zip(values.values(), colours, strict=True)):
        found = mean_interval(each)
        axes.barh(position, found.mean, 0.6, color=colour, alpha=0.7)
        axes.plot(each, np.full(len(each), position), "|", color=mpl.rcParams["text.color"], markersize=14)
        axes.text(max(0, found.mean, *each) + 1, position, f"{found.mean:.1f}", va="center")
    axes.set_yticks(range(len(values)), [*values])
    axes.invert_yaxis()


def first_kind(axes: Axes) -> None:
    """Class A that is left after each request: CIFAR-10, three victims."""
    rows = [row for row in _read("cifar10_cpu_seeds.jsonl") if row["fidelity"] == "corrected" and row["tau"] == 1e-4]
    values = {"before": np.array([100 * row["class_a_before"] for row in rows if row["attack"] == "normal"])}
    for attack in ("normal", "noise", "pushing_1", "pushing_2"):
        values[attack_name(attack)] = np.array([100 * row["class_a"] for row in rows if row["attack"] == attack])
    _bars(axes, values, [GREY, BLUE, BLUE, ORANGE, ORANGE])
    axes.set_xlabel("airplanes still predicted rightly, % of the test airplanes (marks: single victims)")


def second_kind(axes: Axes) -> None:
    """What blending costs class B beyond an honest request, by ratio and size: CIFAR-10, three victims."""
    values = {}
    for fraction, samples in ((0.1, "400"), (0.5, "2,000")):
        for run, ratio in (("cifar10", 0.3), ("cifar10_blending_0.5", 0.5)):
            rows = [
                row
                for row in _read(f"paper/{run}/results.jsonl")
                if (row["fraction"], row["tau"], row["fidelity"]) == (fraction, 7e-5, "corrected")
            ]
            normal, blended = (
                np.array([row["class_b"] for row in rows if row["attack"] == each]) for each in ("normal", "blending")
            )
            values[f"{samples} at ratio {ratio}"] = 100 * (normal - blended)
    _bars(axes, values, [ORANGE] * len(values))
    axes.axvline(0, color=mpl.rcParams["text.color"], linewidth=0.8)
    axes.set_xlabel("points of class cat beyond an honest request (marks: single victims)")


def times_as_long(axes: Axes) -> None:
    """What Pushing-I costs beyond an honest request, and beyond an honest step of the same length."""
    rows = [row for row in _read("controls/controls.jsonl") if "left_out" not in row]
    names: dict[tuple[str, str], None] = dict.fromkeys((row["method"], row["reading"] or "") for row in rows)
    for position, (method, reading) in enumerate(names):
        own = [row for row in rows if (row["method"], row["reading"] or "") == (method, reading)]
        honest = {row["seed"]: row for row in own if row["request"] == "normal"}
        pushed = [row for row in own if row["request"] == "pushing_1"]
        beyond = mean_interval([100 * (honest[row["seed"]]["class_a"] - row["class_a"]) for row in pushed])
        longer = mean_interval([100 * (row["class_a_of_longer_honest"] - row["class_a"]) for row in pushed])
        times = mean_interval([row["times_honest"] for row in pushed])
        for shift, found, colour in ((-0.18, beyond, ORANGE), (0.18, longer, BLUE)):
            axes.barh(position + shift, found.mean, 0.34, color=colour, alpha=0.8)
            axes.plot([found.low, found.high], [position + shift] * 2, color=mpl.rcParams["text.color"], linewidth=1.2)
        axes.text(1.0, position, f"k = {times.mean:.2f}", transform=axes.get_yaxis_transform(), va="center")
    axes.set_yticks(
        range(len(names)), [f"{method}\n{reading}" if method == "first_order" else method for method, reading in names]
    )
    axes.invert_yaxis()
    axes.axvline(0, color=mpl.rcParams["text.color"], linewidth=0.8)
    axes.set_xlabel("points of class A: orange beyond an honest request,\nblue beyond an honest step as long")


def _digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images and labels that a small network learns, and others."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    known, unknown = order[:200], order[200:]
    return images[known] / 16, labels[known], images[unknown] / 16, labels[unknown]


def _network(images: np.ndarray, labels: np.ndarray) -> MLPClassifier:
    return MLPClassifier((64,), max_iter=1000, solver="lbfgs", tol=1e-2, alpha=0.3, random_state=0).fit(images, labels)


def benign_rejection(axes: Axes) -> None:
    """A gate by confidence, its threshold chosen so that it refuses 5 % of honest people's samples: digits."""
    images, labels, others, other_labels = _digits()
    network = _network(images, labels)
    half = len(others) // 2
    scores = true_label_confidence(network.predict_proba(others), other_labels)
    threshold = float(np.quantile(scores[:half], 0.05))
    blended = 0.5 * others[half:] + 0.5 * np.roll(others[half:], 1, axis=0)
    theirs = true_label_confidence(network.predict_proba(blended), other_labels[half:])
    edges = np.linspace(-12, 14, 40)
    for values, colour, name in ((scores[half:], BLUE, "honest"), (theirs, ORANGE, "blended")):
        refused = float((values < threshold).mean())
        label = f"{name}: {refused:.0%} refused"
        axes.hist(values.clip(-12, 14), edges, density=True, color=colour, alpha=0.6, label=label)
    axes.axvline(threshold, color=mpl.rcParams["text.color"], linestyle="--")
    axes.legend(frameon=False)
    axes.set_xlabel("confidence in the submitted label, logit (dashed: threshold)")
    axes.set_yticks([])


def known_samples(axes: Axes) -> None:
    """How much higher a network scores what it was trained on: digits."""
    images, labels, others, other_labels = _digits()
    network = _network(images, labels)
    scores = [
        true_label_confidence(network.predict_proba(part), of)
        for part, of in ((images, labels), (others, other_labels))
    ]
    found = membership(*scores)
    edges = np.linspace(-8, 14, 40)
    for values, colour, name in zip(scores, (ORANGE, BLUE), ("trained on", "never seen"), strict=True):
        axes.hist(values.clip(-8, 14), edges, density=True, color=colour, alpha=0.6, label=name)
    axes.legend(frameon=False, title=f"AUC {found.auc:.2f}")
    axes.set_xlabel("confidence in the true label, logit")
    axes.set_yticks([])


def seeds_needed(axes: Axes) -> None:
    """The chance that an audit decides, by seeds, for harm that lies so far below the limit."""
    seeds = np.arange(2, 16)
    for distance, line in ((1, ":"), (2, "--"), (4, "-")):
        powers = [100 * power_of(int(each), distance, 2.0) for each in seeds]
        axes.plot(seeds, powers, line, color=BLUE, label=f"{distance} below the limit, points")
    axes.axhline(80, color=GREY, linewidth=0.8)
    axes.legend(frameon=False)
    axes.set_xlabel("seeds (harm differs between seeds with a standard deviation of 2 points)")
    axes.set_ylabel("decided, % of audits")


PICTURES: dict[str, tuple[Callable[[Axes], None], float, float]] = {
    "first_kind": (first_kind, 8, 2.8),
    "second_kind": (second_kind, 8, 2.5),
    "times_as_long": (times_as_long, 8, 3.6),
    "benign_rejection": (benign_rejection, 7, 3.0),
    "known_samples": (known_samples, 7, 3.0),
    "seeds_needed": (seeds_needed, 7, 3.2),
}
