"""What the paper shows: its tables and figures by name, and the runs that each reads."""

from collections.abc import Sequence

from experiments.paper.figure_numbers import FIGURE_NUMBERS
from experiments.paper.layout import READING, TableLayout, entries_of
from experiments.paper.probes import PROBES
from experiments.paper.studies import SETS, STUDIES
from experiments.paper.tables import TABLES, table_04
from overunlearn_jax.spelling import did_you_mean

# Figures without numbers: their titles, and the runs behind them with their readings of the first-order step.
PICTURES = {
    "figure_03": (
        "Figure 3: an airplane, a cat, and the airplane blended with the cat at ratio 0.5",
        [("cifar10_blending_0.5", READING)],
    ),
    "figure_09": ("Figure 9: STL-10 airplanes and what Pushing-I makes of them", [("stl10", READING)]),
    "tau": (
        "Not in the paper: class A by the unlearning rate tau, 10 % requested, under three readings of the "
        "first-order step",
        [
            *((name, READING) for name in SETS),
            *((f"{name}_readings", fidelity) for fidelity in ("authors_code", "equation") for name in SETS),
        ],
    ),
}
FIGURES = (
    "figure_03",
    "figure_05",
    "figure_06",
    "figure_07",
    "figure_08a",
    "figure_08b",
    "figure_09",
    "figure_10",
    "tau",
)
EXHIBITS = (*TABLES, *FIGURES, *PROBES)


def layouts_of(exhibit: str) -> list[TableLayout]:
    """The tables to print for an exhibit: Table IV under each reading; none for a picture."""
    if exhibit == "table_04":
        return [table_04(), table_04("authors_code"), table_04("equation")]
    make = TABLES.get(exhibit) or FIGURE_NUMBERS.get(exhibit) or PROBES.get(exhibit)
    return [make()] if make else []


def title_of(figure: str) -> str:
    """What a figure shows."""
    return PICTURES[figure][0] if figure in PICTURES else FIGURE_NUMBERS[figure]().title


def studies_of(exhibit: str) -> list[str]:
    """The runs that a table or figure reads, in their order."""
    own = [entry.study for layout in layouts_of(exhibit) for entry in entries_of(layout)]
    if exhibit in PICTURES:
        own.extend(study for study, _ in PICTURES[exhibit][1])
    # The unlearning rate is chosen on the honest requests of the data set's main run.
    chosen_on = [STUDIES[study]["dataset"] for study in own if 0.1 not in STUDIES[study]["fractions"]]
    return [study for study in STUDIES if study in own or study in chosen_on]


def exhibit_named(typed: Sequence[str], experiment: str | None) -> str:
    """The table or figure, or all: `typed` behind the sub-command, or the --experiment of a flagfile.

    Raises ValueError unless there is one, and it is of the paper.
    """
    names = list(dict.fromkeys([*typed, *([experiment] if experiment else [])]))
    known = ("all", *EXHIBITS)
    if len(names) != 1:
        raise ValueError(f"overunlearn paper{_joined(names)}: give one name, out of {', '.join(known)}")
    if names[0] not in known:
        raise ValueError(
            f"overunlearn paper {names[0]}: expected one of {', '.join(known)}{did_you_mean(names[0], known)}"
        )
    return names[0]


def _joined(names: Sequence[str]) -> str:
    return f" {' '.join(names)}" if names else ""
