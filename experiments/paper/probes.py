"""Tables that are not in the paper: each tries one reason why our numbers differ from its."""

from collections.abc import Callable

from experiments.paper.layout import ATTACKS, PUSHES, SAMPLES, Line, TableLayout, entry

WIDTHS = {8: "cifar10_width_8", 16: "cifar10", 32: "cifar10_width_32"}
LABELS = {"the original label": "stl10", "the label that the model predicts": "stl10_predicted_labels"}


def width() -> TableLayout:
    """Does the victim's width decide how much pushing costs?"""
    attacks = ("before", *PUSHES)
    lines = [
        Line((str(size),), tuple(entry("width", study, attack, 0.1, "class_a") for attack in attacks))
        for size, study in WIDTHS.items()
    ]
    return TableLayout(
        "width",
        "Not in the paper: class A by the width of the victim, 400 airplanes, each width at its own rate",
        ("Width", "Before", *(ATTACKS[attack] for attack in PUSHES)),
        tuple(lines),
        "The paper's victim is 128 wide: 87.8 before, 81.7 after the honest request, 29.5 after either push.",
    )


def labels() -> TableLayout:
    """Does the label of the request decide what Pushing-II costs on STL-10?"""
    lines = [
        Line(
            (f"{SAMPLES['stl10'][fraction]:,}", words),
            tuple(entry("table_04", study, attack, fraction, "overall", dataset="stl10") for attack in PUSHES),
        )
        for fraction in (0.1, 0.5)
        for words, study in LABELS.items()
    ]
    return TableLayout(
        "labels",
        "Not in the paper: overall accuracy on STL-10 by the label that a pushed image is submitted with",
        ("Samples", "Submitted with", *(ATTACKS[attack] for attack in PUSHES)),
        tuple(lines),
    )


PROBES: dict[str, Callable[[], TableLayout]] = {"width": width, "labels": labels}
