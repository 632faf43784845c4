"""Bounds inside a method: each sample's gradient clipped, and a cap on the weights that may be dampened.

Both are set by what honest people's requests take: the 0.95 quantile of training samples' gradients, and the largest
share of weights that honest requests of the same size shrink.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import jax
import numpy as np

from experiments.defences.remembered import RememberedService
from overunlearn_jax.defences.assembly import ClipsSamples, assemble
from overunlearn_jax.defences.holdings import Holdings
from overunlearn_jax.defences.honest_requests import after_honest, composition
from overunlearn_jax.defences.honest_steps import StepBound
from overunlearn_jax.services import recipes
from overunlearn_jax.services.recipes import Ingredients, MethodChoice
from overunlearn_jax.services.service import After, Service, Variant
from overunlearn_jax.types import Params, Request
from overunlearn_jax.unlearn import METHODS

CLIP = "clip_each"
CAP = "cap on dampening"
INSIDE = (CLIP, CAP)
CAPPED = "most_shrunk"  # the setting of a method that has a cap


def bounds_of_a_method(
    choice: MethodChoice, ingredients: Ingredients, service: RememberedService, like: Request, honest: StepBound
) -> Iterator[tuple[str, Callable[[], Service]]]:
    """The name of each bound that the method can have, and what makes the service with it: that measures honest people.

    Args:
      choice: the method as it is served.
      ingredients: of the service.
      service: undefended.
      like: how many samples of each class a request has.
      honest: how many honest requests a cap is set by, of what data, with which key.
    """
    bare = recipes.serve(choice, ingredients, service.variables)
    if isinstance(bare, ClipsSamples):
        yield CLIP, partial(_clipped, bare, choice, ingredients, service)
    if CAPPED in inspect.signature(METHODS[choice.name].make).parameters:
        yield CAP, partial(_capped, choice, ingredients, service, like, honest)


def _clipped(bare: ClipsSamples, choice: MethodChoice, ingredients: Ingredients, service: RememberedService) -> Service:
    splits = ingredients.splits
    holdings = Holdings(splits.spec, train=splits.train, model=service.model, variables=service.variables)
    norm = assemble(CLIP, holdings, scope=recipes.scope(choice)).clip_each
    assert norm is not None  # it was asked for
    return bare.clipping_each(norm)


def _capped(
    choice: MethodChoice, ingredients: Ingredients, service: RememberedService, like: Request, honest: StepBound
) -> Service:
    most = max(shares_shrunk(service, like, honest), default=0.0)
    settings = {**choice.settings, CAPPED: repr(most)}
    return recipes.serve(choice._replace(settings=settings), ingredients, service.variables)


def shares_shrunk(service: RememberedService, like: Request, honest: StepBound) -> list[float]:
    """Of the weights, the fraction that each of some honest requests like this one changes."""
    before = service.variables.params

    def share(left: Mapping[Variant, After]) -> float | None:
        [own] = left.values()
        return None if own.variables is None else share_changed(before, own.variables.params)

    # With the key of a bound on the step: what is remembered from there is not forgotten again.
    found = after_honest(service, honest.held, composition([like]), honest.requests, honest.key, share)
    return [each for each in found if each is not None]


def share_changed(before: Params, after: Params) -> float:
    """The fraction of the weights that differ."""
    pairs = list(zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True))
    changed = sum(int((np.asarray(old) != np.asarray(new)).sum()) for old, new in pairs)
    return changed / sum(np.size(old) for old, _ in pairs)
