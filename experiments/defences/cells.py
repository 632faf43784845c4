"""The methods that are defended, each at one strength: a few points of an honest request's class, as far as it can."""

from experiments.controls.cells import Cell
from overunlearn_jax.services.recipes import MethodChoice
from overunlearn_jax.setting_text import read_settings

CELLS = (
    Cell("first_order", "corrected"),  # at a rate of its own for each victim
    Cell("gradient_ascent", settings="learning_rate=1e-5,steps=20"),
    Cell("neg_grad_plus", settings="learning_rate=0.001,steps=50"),
    Cell("selective_dampening", settings="selection=10"),
    Cell("influence", settings="damping=1,hessian_samples=512,iterations=30"),
    Cell("scrub", settings="learning_rate=0.001"),
)
METHODS = [cell.method for cell in CELLS]

TINY_RATE = 1e-6


def for_timing(cell: Cell) -> MethodChoice:
    """The method as it is served; a first-order step at a tiny rate, on which neither its time nor its cost depends."""
    if cell.reading:
        return MethodChoice(cell.method, {}, (cell.reading,), (TINY_RATE,), "")
    return MethodChoice(cell.method, read_settings(cell.settings), (), (), "")
