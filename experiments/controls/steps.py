"""The model after each request, by a method of this package."""

from collections.abc import Callable, Mapping

import numpy as np

from experiments.controls.cells import Cell
from experiments.controls.rates import CostError, rate_at_cost
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.data import take
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.models import predict_fn
from overunlearn_jax.services import recipes
from overunlearn_jax.services.recipes import Ingredients, MethodChoice
from overunlearn_jax.setting_text import read_settings
from overunlearn_jax.types import Key, Request, Variables
from overunlearn_jax.unlearn import along_step


def first_order_steps(
    cell: Cell,
    ingredients: Ingredients,
    before: Variables,
    requests: Mapping[str, Request],
    key: Key,
    class_a: int,
    honest_cost: float,
) -> tuple[dict[str, Variables], float]:
    """After each request, at the rate at which the honest one costs what is asked for, and that rate.

    `honest_cost` is a fraction of class A's accuracy, of the validation images. A step is linear in its rate: it is
    made once at rate 1, and any other is a part of it. Raises CostError where no rate costs as much, and where the
    honest request diverged.
    """
    units = _steps(first_order_choice(cell, 1.0), ingredients, before, requests, key)
    if HONEST not in units:
        raise CostError("the honest request diverged: there is nothing to compare with")
    cost_of = _class_cost(ingredients, before, class_a)
    rate = rate_at_cost(lambda rate: cost_of(along_step(before, units[HONEST], rate)), honest_cost)
    return {name: along_step(before, after, rate) for name, after in units.items()}, rate


def first_order_choice(cell: Cell, rate: float) -> MethodChoice:
    """A first-order step of the cell's reading at this rate."""
    return MethodChoice(cell.method, {}, (cell.reading,), (rate,), "")


def _class_cost(ingredients: Ingredients, before: Variables, class_a: int) -> Callable[[Variables], float]:
    """What a model has lost of class A since `before`: a fraction of the validation images of that class."""
    model, splits = ingredients.architecture, ingredients.splits
    validation = take(splits.validation, np.flatnonzero(splits.validation.labels == class_a))

    def accuracy(variables: Variables) -> float:
        return float(evaluate(predict_fn(model, variables), validation, splits.spec.num_classes).per_class[class_a])

    undisturbed = accuracy(before)
    return lambda variables: undisturbed - accuracy(variables)


def other_steps(
    cell: Cell, ingredients: Ingredients, before: Variables, requests: Mapping[str, Request], key: Key
) -> dict[str, Variables]:
    """After each request; one after which the method diverged is left out."""
    return _steps(
        MethodChoice(cell.method, read_settings(cell.settings), (), (), ""), ingredients, before, requests, key
    )


def _steps(
    choice: MethodChoice, ingredients: Ingredients, before: Variables, requests: Mapping[str, Request], key: Key
) -> dict[str, Variables]:
    service, steps = recipes.serve(choice, ingredients, before), {}
    for name, request in requests.items():
        with service.after([request], key) as left:
            if left.variables is not None:
                steps[name] = left.variables
    return steps
