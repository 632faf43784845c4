"""What is measured of each victim: three readings of the first-order step, and other methods at one strength."""

from collections.abc import Collection
from typing import NamedTuple

from experiments.config.service import FIDELITIES

LEFT_OUT = "left_out"  # in a record: why nothing was measured of a victim under a method


class Cell(NamedTuple):
    """One method as it is applied to every request."""

    method: str
    reading: str = ""  # of the first-order step, whose rate is chosen for each victim; empty: the settings say it all
    settings: str = ""  # as in --method_settings

    @property
    def name(self) -> str:
        """For tables: the reading, or the settings."""
        return self.reading or self.settings


# Strengths are the mildest of the methods' page that cost an honest class a few points.
CELLS = (
    *(Cell("first_order", reading) for reading in FIDELITIES),
    Cell("gradient_ascent", settings="learning_rate=1e-5,steps=20"),
    Cell("influence", settings="damping=1,hessian_samples=512,iterations=30"),
    Cell("neg_grad_plus", settings="learning_rate=0.001,steps=50"),
    Cell("random_labels", settings="learning_rate=3e-6,steps=50"),
    Cell("salun", settings="learning_rate=3e-6,steps=50"),
    Cell("scrub", settings="learning_rate=0.001"),
)
METHODS = list(dict.fromkeys(cell.method for cell in CELLS))
READINGS = [cell.reading for cell in CELLS if cell.reading]


def chosen_cells(methods: Collection[str], readings: Collection[str]) -> list[Cell]:
    """Those of some methods and, of the first-order step, of some readings."""
    return [cell for cell in CELLS if cell.method in methods and cell.reading in ("", *readings)]
