"""The numbers behind the paper's figures, cell by cell, as the tables have theirs."""

from collections.abc import Callable

from experiments.paper.layout import ATTACKS, NAMES, PUSHES, Line, TableLayout, entry
from experiments.paper.studies import SETS
from experiments.paper.tables import CIFAR10_LABELS

FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5)
RATIOS = {
    0.1: "cifar10_blending_0.1",
    0.2: "cifar10_blending_0.2",
    0.3: "cifar10",
    0.4: "cifar10_blending_0.4",
    0.5: "cifar10_blending_0.5",
}


def figure_05() -> TableLayout:
    """Class A after pushing."""
    attacks = ("before", *PUSHES)
    lines = [
        Line(
            (NAMES[name], f"{100 * fraction:g} %"),
            tuple(entry("figure_05", name, attack, fraction, "class_a", dataset=name) for attack in attacks),
        )
        for fraction in (0.1, 0.5)
        for name in SETS
    ]
    headers = ("Data set", "Requested", "Before", *(ATTACKS[attack] for attack in PUSHES))
    note = (
        "The paper draws no honest request of 50 %. Its tables V and VI count 708 of 878 airplanes and 54 of 71 apples "
        "that are still predicted rightly after one."
    )
    return TableLayout("figure_05", "Figure 5: accuracy of class A", headers, tuple(lines), note)


def _predicted(name: str, title: str, fraction: float) -> TableLayout:
    lines = [
        Line(
            (ATTACKS[attack],),
            tuple(entry(name, "cifar10", attack, fraction, "predicted", label) for label in CIFAR10_LABELS),
        )
        for attack in PUSHES
    ]
    return TableLayout(name, title, ("Request", *CIFAR10_LABELS), tuple(lines))


def figure_06() -> TableLayout:
    """Predicted labels, a tenth of the class requested."""
    return _predicted("figure_06", "Figure 6: what the 1,000 test airplanes are predicted as, 400 requested", 0.1)


def figure_07() -> TableLayout:
    """Predicted labels, half of the class requested."""
    return _predicted("figure_07", "Figure 7: what the 1,000 test airplanes are predicted as, 2,000 requested", 0.5)


def _by_samples(name: str, title: str, attacks: tuple[str, ...], measure: str) -> TableLayout:
    lines = [
        Line((ATTACKS[attack],), tuple(entry(name, "cifar10", attack, fraction, measure) for fraction in FRACTIONS))
        for attack in attacks
    ]
    return TableLayout(name, title, ("Request", *(f"{4000 * f:,.0f}" for f in FRACTIONS)), tuple(lines))


def figure_08a() -> TableLayout:
    """Blending by the number of samples."""
    title = "Figure 8(a): points of cat that blending at 0.3 costs beyond an honest request, by samples requested"
    return _by_samples("figure_08a", title, ("blending",), "class_b_drop")


def figure_08b() -> TableLayout:
    """Blending by its ratio."""
    entries = (entry("figure_08b", study, "blending", 0.1, "class_b_drop") for study in RATIOS.values())
    title = "Figure 8(b): points of cat that blending costs beyond an honest request, by blending ratio, 400 airplanes"
    return TableLayout(
        "figure_08b", title, ("Request", *map(str, RATIOS)), (Line((ATTACKS["blending"],), tuple(entries)),)
    )


def figure_10() -> TableLayout:
    """Pushing by the number of samples."""
    title = "Figure 10: points of overall accuracy that pushing costs beyond an honest request, by samples requested"
    return _by_samples("figure_10", title, ("pushing_1", "pushing_2"), "overall_drop")


FIGURE_NUMBERS: dict[str, Callable[[], TableLayout]] = {
    "figure_05": figure_05,
    "figure_06": figure_06,
    "figure_07": figure_07,
    "figure_08a": figure_08a,
    "figure_08b": figure_08b,
    "figure_10": figure_10,
}
