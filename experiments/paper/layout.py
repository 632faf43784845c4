"""How a table of the paper is laid out: which run, request and measure stands in each cell, and the paper's number."""

from typing import Any, NamedTuple

from experiments.paper.numbers import printed
from overunlearn_jax.attack_names import PAPER_HONEST, attack_name

READING = "corrected"  # of the first-order step, where a table says no other
NAMES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "stl10": "STL-10"}
ATTACKS = {"normal": PAPER_HONEST} | {
    attack: attack_name(attack, at_start=True) for attack in ("pushing_1", "pushing_2", "blending")
}
PUSHES = ("normal", "pushing_1", "pushing_2")
SAMPLES = {"cifar10": {0.1: 400, 0.5: 2000}, "cifar100": {0.1: 40, 0.5: 200}, "stl10": {0.1: 40, 0.5: 200}}


class Entry(NamedTuple):
    """One cell. Measures: overall, class_a, class_b (percent), with _drop points less than the honest request's;
    overall_train, predicted (test images of class A that are predicted as `label`), predicted_right (of those alone
    that were predicted rightly before), and the stealth of the images: ssim_mean, lpips_mean, l2_mean and
    same_side_in_8_bits.
    """

    study: str
    attack: str  # "before": the model as it was
    fraction: float
    measure: str
    paper: float | None
    label: str = ""
    fidelity: str = READING  # of the first-order step


class Line(NamedTuple):
    """A row of a table."""

    labels: tuple[str, ...]
    entries: tuple[Entry, ...]


class TableLayout(NamedTuple):
    """A table as the paper lays it out."""

    name: str
    title: str
    headers: tuple[str, ...]  # of the labels, then of the entries
    lines: tuple[Line, ...]
    note: str = ""  # what a reader has to know of the paper's own table


def entry(
    table: str,
    study: str,
    attack: str,
    fraction: float,
    measure: str,
    label: str = "",
    fidelity: str = READING,
    **keys: Any,
) -> Entry:
    """The cell whose place in the paper's table `keys` say, beside attack, fraction and measure."""
    metric = "predicted" if measure == "predicted_right" else measure
    where: dict[str, Any] = {"attack": attack, "metric": metric, **keys}
    if attack != "before":
        where["fraction"] = fraction
    if label:
        where["label"] = label
    return Entry(study, attack, fraction, measure, printed(table, **where), label, fidelity)


def paper_effects(layout: TableLayout) -> dict[Entry, float]:
    """How much less the paper prints than after its honest request, at the places where it prints both."""
    honest = {(e.study, e.fraction, e.measure, e.label): e.paper for e in entries_of(layout) if e.attack == "normal"}
    effects = {}
    for place in entries_of(layout):
        base = honest.get((place.study, place.fraction, place.measure, place.label))
        if place.attack in ("before", "normal") or place.paper is None:
            continue
        if place.measure.endswith("_drop"):  # printed as one
            effects[place] = place.paper
        elif base is not None:
            effects[place] = base - place.paper
    return effects


def entries_of(layout: TableLayout) -> list[Entry]:
    """All cells, line by line."""
    return [entry for line in layout.lines for entry in line.entries]
