"""How long a defence makes a deletion: the honest request, undefended and behind each defence.

Before all of them identification stores its digests and a bound inside a method is set by honest requests. The first
deletion of a size waits for the honest ones that a bound on the step or a monitor compares with; later ones of that
size do not. The other gates have their time by sample in gates.jsonl. Wall times: leave the machine alone while they
are taken.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from experiments.config import Config
from experiments.controls.cells import Cell
from experiments.controls.requests import crafted_requests
from experiments.defences.cases import BITS, BITS_APART, HONEST_RUNS, QUANTILE
from experiments.defences.cells import CELLS, for_timing
from experiments.defences.method_bounds import INSIDE, bounds_of_a_method
from experiments.defences.remembered import RememberedService
from experiments.pipeline import SeedRun, push_seed
from experiments.run.records import append_records, changed_settings, provenance, records_of
from experiments.victims.architectures import describe_model
from experiments.victims.cache import ingredients_of
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.defences.copies import copies_gate
from overunlearn_jax.defences.defended import defended
from overunlearn_jax.defences.hash_store import HashStore
from overunlearn_jax.defences.honest_steps import StepBound
from overunlearn_jax.defences.identification import identifier, lookup_by_hash
from overunlearn_jax.defences.monitor import Monitor
from overunlearn_jax.files import settings_hash
from overunlearn_jax.services import recipes
from overunlearn_jax.services.service import HasWeights, Service
from overunlearn_jax.types import Request

FILE = "seconds.jsonl"
UNDEFENDED = "none"
LATER = 2  # deletions after the first, of which the fastest counts: of the slowest method each takes half a minute


def measure_seconds(config: Config, seed: int, folder: Path, command: str) -> None:
    """Adds the records of one seed's victim to seconds.jsonl, those of one method together; those there are left out.

    Raises ValueError for a file with records of other settings.
    """
    path, digest = folder / FILE, settings_hash(changed_settings(config))
    done = {record["method"] for record in records_of(path, digest) if record["seed"] == seed}
    left = [cell for cell in CELLS if cell.method not in done]
    if not left:
        return
    ready = push_seed(config, seed)
    [honest] = crafted_requests(config, seed, ready, (HONEST,)).values()
    _compile(config, ready, honest)
    shared = {"settings": digest, "seed": seed, "model": describe_model(config.victim), **provenance(command)}
    for cell in left:
        append_records(path, [shared | row for row in method_seconds(config, cell, ready, honest)])
        print(f"seed {seed}, seconds: {cell.method}", flush=True)


def method_seconds(config: Config, cell: Cell, ready: SeedRun, honest: Request) -> Iterator[dict[str, Any]]:
    """A record for each defence; nothing is compiled while deletions are timed.

    All defences are timed in turns: where the machine is slow for a while, it is so for each of them.
    """
    services, prepared = dict[str, Service](), dict[str, float]()
    for name, make in _defences(config, cell, ready, honest).items():
        began = perf_counter()
        services[name] = make()
        prepared[name] = perf_counter() - began
        if name in (UNDEFENDED, *INSIDE):  # another method than what ran so far
            seconds_of(services[name], honest, ready)
    first, *later = [
        {name: seconds_of(service, honest, ready) for name, service in services.items()} for _ in range(1 + LATER)
    ]
    for name in services:
        yield {
            "method": cell.method,
            "defence": name,
            "samples": len(honest.labels),
            "seconds_prepared": prepared[name],
            "seconds_first": first[name],
            "seconds_later": min(each[name] for each in later),
        }


def seconds_of(service: Service, request: Request, ready: SeedRun) -> float:
    """Until a model is released or the request refused."""
    began = perf_counter()
    with service.after([request], ready.keys.unlearn):
        return perf_counter() - began


def _compile(config: Config, ready: SeedRun, honest: Request) -> None:
    """What stands around a method, by a request of one sample and the method that takes the least time."""
    one = Request(honest.images[:1], honest.labels[:1])
    for make in _defences(config, CELLS[0], ready, honest).values():
        seconds_of(make(), one, ready)


def _defences(config: Config, cell: Cell, ready: SeedRun, honest: Request) -> dict[str, Callable[[], Service]]:
    """What makes the service behind each: stores what identification looks up, measures what bounds are set by."""
    trained = ready.victim.service
    assert isinstance(trained, HasWeights)  # trained here
    choice, ingredients = for_timing(cell), ingredients_of(config.victim, ready.splits)
    service = recipes.serve(choice, ingredients, trained.variables)
    train, key = ready.splits.train, ready.keys.noise
    bound = StepBound(train, key, HONEST_RUNS, QUANTILE)
    monitor = Monitor(train, ready.splits.validation, key, HONEST_RUNS)

    def identifying() -> Service:
        store = HashStore(train.images, ready.splits.spec.bounds, bits=BITS)
        return defended(service, identify=identifier(train, lookup_by_hash(store), BITS_APART))

    return {
        UNDEFENDED: partial(defended, service),
        "copies": partial(defended, service, gates=[copies_gate(BITS_APART, bits=BITS)]),
        "identify": identifying,
        "bound": partial(defended, service, bound=bound),
        "monitor": partial(defended, service, monitor=monitor),
        **dict(bounds_of_a_method(choice, ingredients, RememberedService(service), honest, bound)),
    }
