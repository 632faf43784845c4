"""What a request costs the server, by method: gradient evaluations and seconds, of attackers and of honest people.

Slow-down attacks make deletion itself the harm (Marchant et al., Hard to Forget, AAAI 2022).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.config import Config
from experiments.controls.cells import Cell
from experiments.controls.requests import crafted_requests
from experiments.defences.cells import CELLS, for_timing
from experiments.defences.optional.sisa_costs import sisa_records
from experiments.pipeline import SeedRun, push_seed
from experiments.run.records import append_records, changed_settings, provenance, records_of
from experiments.victims.architectures import describe_model
from experiments.victims.cache import ingredients_of
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.data import candidates
from overunlearn_jax.files import settings_hash
from overunlearn_jax.services import recipes
from overunlearn_jax.services.service import HasWeights
from overunlearn_jax.types import Request
from overunlearn_jax.unlearn.sisa import SisaSettings, assign

FILE = "costs.jsonl"
CRAFTED = (HONEST, "pushing_1", "pushing_2", "blending")
COPIES = "copies"  # of one sample, as many as the honest request has samples
HELD = 0.5  # of the class: the paper's bound on what one user has


def measure_costs(config: Config, seed: int, folder: Path, command: str) -> None:
    """Adds the records of one seed's victim to costs.jsonl, those of one method together; those there are left out.

    Raises ValueError for a file with records of other settings.
    """
    path = folder / FILE
    settings = changed_settings(config)
    digest = settings_hash(settings)
    known = records_of(path, digest)
    done = {record["method"] for record in known if record["seed"] == seed}
    sisa = "sisa"
    if done.issuperset({sisa, *(cell.method for cell in CELLS)}):
        return
    ready = push_seed(config, seed)
    shared = {
        "settings": digest,
        "seed": seed,
        "model": describe_model(config.victim),
        **provenance(command),
    }
    requests = _requests(config, seed, ready)
    for cell in CELLS:
        if cell.method not in done:
            append_records(path, [shared | row for row in method_costs(config, cell, ready, requests)])
            print(f"seed {seed}, costs: {cell.method}", flush=True)
    if not {sisa} & done:
        train, own = ready.splits.train, SisaSettings()
        place = assign(jax.random.split(ready.keys.train)[0], len(train.labels), own)  # as `fit_sisa` draws it
        order = candidates(train, ready.classes.a, seed)
        rows = order[: max(1, round(HELD * len(order)))]
        append_records(path, [shared | row for row in sisa_records(place, rows, own, seed)])
        print(f"seed {seed}, costs: {sisa}", flush=True)


def method_costs(
    config: Config, cell: Cell, ready: SeedRun, requests: Mapping[str, Request]
) -> Iterator[dict[str, Any]]:
    """A record for each request; the honest one goes first once more: nothing is compiled while time is taken."""
    service = ready.victim.service
    assert isinstance(service, HasWeights)  # trained here
    forgetting = recipes.serve(for_timing(cell), ingredients_of(config.victim, ready.splits), service.variables)
    with forgetting.after([requests[HONEST]], ready.keys.unlearn):
        pass
    for name, request in requests.items():
        with forgetting.after([request], ready.keys.unlearn) as left:
            yield {
                "method": cell.method,
                "request": name,
                "at_once": True,
                "samples": len(request.labels),
                "gradient_evaluations": left.deletion.gradient_evaluations,
                "seconds": left.deletion.seconds,
                "diverged": bool(left.deletion.diverged),
            }


def _requests(config: Config, seed: int, ready: SeedRun) -> dict[str, Request]:
    requests = crafted_requests(config, seed, ready, CRAFTED)
    honest = requests[HONEST]
    first = np.zeros(len(honest.labels), int)
    return requests | {COPIES: Request(np.asarray(honest.images)[first], np.asarray(honest.labels)[first])}
