"""The walk of every request, honest or malicious: crafted, submitted, measured, and the service brought back."""

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence

from overunlearn_jax.auditing.choosing import AttackerSamples
from overunlearn_jax.auditing.crafting import Crafter
from overunlearn_jax.auditing.measuring import Meter
from overunlearn_jax.auditing.request_settings import Classes, RequestSettings
from overunlearn_jax.auditing.rows import Cell
from overunlearn_jax.data import request_size
from overunlearn_jax.reporting import Row
from overunlearn_jax.services.service import Service, Variant, after_each
from overunlearn_jax.types import Key, Request, Split, UnlearningRequest

Crafted = Callable[[Cell, UnlearningRequest, bool], None]  # first cell, request, whether it is submitted


def cells_of(settings: RequestSettings, seed: int, variants: Sequence[Variant]) -> list[Cell]:
    """Every row that a seed is to give, in their order."""
    return [
        Cell(seed, fraction, attack, variant)
        for fraction, attack in itertools.product(settings.fractions, settings.attacks)
        for variant in variants
    ]


def request_rows(
    cells: Sequence[Cell],
    service: Service,
    crafter: Crafter,
    chosen: AttackerSamples,
    meter: Meter,
    train: Split,
    classes: Classes,
    key: Key,
    *,
    finished: Collection[str] = (),
    on_crafted: Crafted | None = None,
) -> Iterator[Row]:
    """A row for each cell of one seed that is not finished, as soon as it is measured.

    All requests have the same key, so that only the request differs. `on_crafted` is called with each request before
    it is submitted: to save it, or to keep its pictures.
    """
    for (fraction, attack), group in itertools.groupby(cells, key=lambda cell: (cell.fraction, cell.attack)):
        count = request_size(train, classes.a, fraction)
        request = crafter.craft(attack, count)  # of finished cells, too: their queries count towards the budget
        of_request = list(group)
        todo = [cell for cell in of_request if cell.name not in finished]
        if on_crafted:
            on_crafted(of_request[0], request, bool(todo))
        if not todo:
            continue
        described = meter.describe(chosen, count, request)
        with after_each(service, [Request(request.images, request.labels)], key) as left:
            yield from meter.rows(todo, described, request, left)
