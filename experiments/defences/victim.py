"""One victim: who gets through each gate, and what every method makes of a request behind every defence."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.config import Config
from experiments.controls.rates import CostError
from experiments.defences.behind import OTHERS, TARGETED, method_records
from experiments.defences.cells import CELLS
from experiments.defences.gates import GATES
from experiments.defences.scene import set_up
from experiments.pipeline import push_seed
from experiments.run.records import append_records, changed_settings, provenance, records_of
from experiments.victims.cache import describe_model
from overunlearn_jax.files import settings_hash


def measure_victim(
    config: Config, seed: int, methods: Sequence[str], honest_cost: float, folder: Path, command: str
) -> None:
    """Adds the records of one seed's victim to gates.jsonl and harm.jsonl, those of one method together.

    Raises ValueError for files with records of other settings.
    """
    settings = changed_settings(config)
    shared: dict[str, Any] = {"settings": settings_hash(settings | {"honest_cost": honest_cost}), "seed": seed}
    at_gates, harm = (records_of(folder / name, shared["settings"]) for name in ("gates.jsonl", "harm.jsonl"))
    done = {record["method"] for record in harm if record["seed"] == seed}
    left = [cell for cell in CELLS if cell.method in methods and cell.method not in done]
    asked = all(record["seed"] != seed for record in at_gates)
    if not left and not asked:
        return
    ready = push_seed(config, seed)
    shared |= {
        "victim": ready.victim.name,
        "model": describe_model(config.victim),
        **provenance(command),
    }
    every = asked or any(cell.method == TARGETED for cell in left)
    scene, records = set_up(config, seed, ready, GATES if every else OTHERS)
    if asked:
        append_records(folder / "gates.jsonl", [shared | each for each in records])
    for cell in left:
        try:
            rows = [shared | each for each in method_records(config, cell, scene, honest_cost)]
        except CostError as error:
            print(f"seed {seed}, {cell.method}: {error}", file=sys.stderr, flush=True)
            continue
        append_records(folder / "harm.jsonl", rows)
        print(f"seed {seed}, {cell.method}: {len(rows)} requests", flush=True)
