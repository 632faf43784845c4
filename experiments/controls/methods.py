"""The methods whose steps are looked at: three readings of the first-order step at equal honest cost, and others."""

from collections.abc import Mapping
from typing import NamedTuple

from overunlearn_jax.models import Model
from overunlearn_jax.services import recipes
from overunlearn_jax.services.recipes import Ingredients, MethodChoice
from overunlearn_jax.services.service import HasWeights
from overunlearn_jax.types import Bounds, Key, Request, Variables
from overunlearn_jax.unlearn import FIDELITIES, along_step, first_order, read_settings

READINGS = tuple(FIDELITIES)


class OtherMethod(NamedTuple):
    """A method at one strength: the mildest of the methods' page that costs an honest class a few points."""

    name: str
    settings: str


OTHERS = (
    OtherMethod("gradient_ascent", "learning_rate=1e-5,steps=20"),
    OtherMethod("influence", "damping=1,hessian_samples=512,iterations=30"),
    OtherMethod("neg_grad_plus", "learning_rate=0.001,steps=50"),
    OtherMethod("random_labels", "learning_rate=3e-6,steps=50"),
    OtherMethod("salun", "learning_rate=3e-6,steps=50"),
    OtherMethod("scrub", "learning_rate=0.001"),
)


def first_order_unit_steps(
    reading: str, model: Model, before: Variables, requests: Mapping[str, Request], bounds: Bounds, key: Key
) -> dict[str, Variables]:
    """The model after each request at rate 1: the step at any other rate lies on the way, see `along_step`."""
    fidelity = FIDELITIES[reading]
    method = first_order(
        1.0,
        bounds=bounds,
        replacement=fidelity.replacement,
        last_partial_batch_only=fidelity.last_partial_batch_only,
    )
    return {name: method(model, before, request.images, request.labels, key) for name, request in requests.items()}


def at_rate(before: Variables, unit_steps: Mapping[str, Variables], rate: float) -> dict[str, Variables]:
    """The model after each request at that rate."""
    return {name: along_step(before, after, rate) for name, after in unit_steps.items()}


def other_steps(
    method: OtherMethod, ingredients: Ingredients, before: Variables, requests: Mapping[str, Request], key: Key
) -> dict[str, Variables]:
    """The model after each request; one that diverged is left out."""
    choice = MethodChoice(method.name, read_settings(method.settings), (), (), "")
    service = recipes.serve(choice, ingredients, before)
    steps = {}
    for name, request in requests.items():
        with service.after([request], key) as left:
            if isinstance(service, HasWeights) and left.variables is not None:
                steps[name] = left.variables
    return steps
