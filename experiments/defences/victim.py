"""One victim: who gets through each gate, and what every method makes of a request behind every defence."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiments.config import Config
from experiments.controls.cells import Cell
from experiments.controls.rates import CostError
from experiments.defences.behind import TARGETED, key_of, method_questions
from experiments.defences.cases import OTHERS
from experiments.defences.cells import CELLS
from experiments.defences.gates import GATES
from experiments.defences.scene import Scene, set_up
from experiments.pipeline import push_seed
from experiments.run.records import Record, append_records, changed_settings, provenance, records_of
from experiments.victims.architectures import describe_model
from overunlearn_jax.files import settings_hash

HARM = "harm.jsonl"
PART = "harm_{}_{}.part.jsonl"  # of a seed and a method
SAME_RATE = 1e-3  # of rates that were searched on two machines


def measure_victim(
    config: Config,
    seed: int,
    methods: Sequence[str],
    honest_cost: float,
    folder: Path,
    command: str,
    *,
    newer: bool = False,
) -> None:
    """Adds the records of one seed's victim to gates.jsonl and harm.jsonl, those of one method together.

    Killed, it asks what was not asked yet: a method that is not done has its records in a file of its own. `newer`:
    methods that are done are asked what they were not, since the question came with a later version.

    Raises ValueError for files with records of other settings.
    """
    settings = changed_settings(config)
    shared: dict[str, Any] = {"settings": settings_hash(settings | {"honest_cost": honest_cost}), "seed": seed}
    at_gates, harm = (records_of(folder / name, shared["settings"]) for name in ("gates.jsonl", HARM))
    done = {record["method"] for record in harm if record["seed"] == seed}
    for method in done:  # a kill may have left answers to newer questions, or came before the last step
        _merge(folder, PART.format(seed, method), shared["settings"])
    left = [cell for cell in CELLS if cell.method in methods and (newer or cell.method not in done)]
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
            _measure_method(config, cell, scene, honest_cost, shared, folder)
        except CostError as error:
            print(f"seed {seed}, {cell.method}: {error}", file=sys.stderr, flush=True)


def _measure_method(
    config: Config, cell: Cell, scene: Scene, honest_cost: float, shared: dict[str, Any], folder: Path
) -> None:
    """Each record is kept as soon as it is known, in a file of its own until the method is done."""
    what = f"seed {shared['seed']}, {cell.method}"
    of_method, questions = method_questions(config, cell, scene, honest_cost)
    part = folder / PART.format(shared["seed"], cell.method)
    known = [record for file in (folder / HARM, part) for record in records_of(file, shared["settings"])]
    own = [record for record in known if (record["seed"], record["method"]) == (shared["seed"], cell.method)]
    for record in own:
        _check_same(record, shared | of_method)
    answered = {key_of(record) for record in own}
    left = [question for question in questions if question.key not in answered]
    for question in tqdm(left, what, unit="request"):
        append_records(part, [shared | of_method | question.answered()])
    _merge(folder, part.name, shared["settings"])
    print(f"{what}: {len(left)} requests", flush=True)


def _check_same(record: Record, now: dict[str, Any]) -> None:
    """Raises ValueError where a record is of another victim or strength than what is measured now."""
    for name in ("victim", "method_settings"):
        if record[name] != now[name]:
            raise ValueError(
                f"records of seed {now['seed']}, {now['method']} have {name} {record[name]}, and it is {now[name]} "
                "now: give another --workdir"
            )
    if now["rate"] is not None and not math.isclose(record["rate"], now["rate"], rel_tol=SAME_RATE):
        raise ValueError(
            f"records of seed {now['seed']}, {now['method']} have the rate {record['rate']:.6g}, and it is "
            f"{now['rate']:.6g} now: give another --workdir"
        )


def _merge(folder: Path, part: str, settings: str) -> None:
    """Moves the records of a part to the others, each once, however often it is called."""
    there = {_name(record) for record in records_of(folder / HARM, settings)}
    new = [record for record in records_of(folder / part, settings) if _name(record) not in there]
    if new:
        append_records(folder / HARM, new)
    (folder / part).unlink(missing_ok=True)


def _name(record: Record) -> tuple[Any, ...]:
    return record["seed"], record["method"], *key_of(record)
