"""What the paper shows: its tables and figures by name, and the runs that each reads."""

from typing import NamedTuple

from experiments.paper.studies import SETS, STUDIES
from experiments.paper.tables import TABLES


class FigureContent(NamedTuple):
    """What a figure shows, and from which runs."""

    words: str
    studies: tuple[str, ...]


FIGURES = {
    "figure_03": FigureContent(
        "an airplane, a cat, and the airplane blended with the cat at ratio 0.5", ("cifar10_blending_0.5",)
    ),
    "figure_05": FigureContent("accuracy of class A when 10 % and 50 % of its samples are requested", tuple(SETS)),
    "figure_06": FigureContent("what the test airplanes are predicted as, 10 % requested", ("cifar10",)),
    "figure_07": FigureContent("what the test airplanes are predicted as, 50 % requested", ("cifar10",)),
    "figure_08a": FigureContent("points of cat that blending at 0.3 costs, by the number of samples", ("cifar10",)),
    "figure_08b": FigureContent(
        "points of cat that blending costs, by the blending ratio, 400 samples",
        ("cifar10_blending_0.1", "cifar10_blending_0.2", "cifar10", "cifar10_blending_0.4", "cifar10_blending_0.5"),
    ),
    "figure_09": FigureContent("STL-10 airplanes and what Pushing-I makes of them", ("stl10",)),
    "figure_10": FigureContent("points of overall accuracy that pushing costs, by the number of samples", ("cifar10",)),
}
EXHIBITS = (*TABLES, *FIGURES)


def studies_of(exhibit: str) -> list[str]:
    """The runs that a table or figure reads, in their order."""
    if exhibit in FIGURES:
        own = list(FIGURES[exhibit].studies)
    else:
        own = [entry.study for line in TABLES[exhibit]().lines for entry in line.entries if entry is not None]
        if exhibit == "table_04":
            own += [study for study in STUDIES if study.endswith("_readings")]
    # The unlearning rate is chosen on the honest requests of the data set's main run.
    chosen_on = [STUDIES[study]["dataset"] for study in own if 0.1 not in STUDIES[study]["fractions"]]
    return [study for study in STUDIES if study in own or study in chosen_on]
