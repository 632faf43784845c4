"""Seeds of a run that were made apart, as by the workers of a cluster: the run takes them over in place of making them.

A part is a workdir of one seed below the run's. Its rows go into the run's one by one, as if they had just been
measured, so that a kill at any moment loses none and repeats none; it is removed once the run is complete.
"""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from experiments.config import Config
from experiments.requests.revealed import adopt_revealed
from experiments.run.outputs import changed_settings_of, changed_since, has_manifest, note_part, read_manifest
from experiments.victims.sources import sources_of
from overunlearn_jax.auditing.rows import Cell
from overunlearn_jax.reporting import append_row, read_rows

PARTS = "seeds"  # the folder of a run's parts in its workdir
COPIED = ("pictures", "requests")  # folders beside the rows


def part_of(config: Config, seed: int) -> Path:
    """The workdir of one seed."""
    return Path(config.run.workdir) / PARTS / str(seed)


def is_complete(config: Config, seed: int, cells: Sequence[Cell]) -> bool:
    """Whether a part holds every row of a seed of this run, made with the run's settings."""
    part = part_of(config, seed)
    results = part / "results.jsonl"
    if not results.exists() or not has_manifest(part) or changed_settings_of(part, config.replace(seeds=(seed,))):
        return False
    found = {row["cell"] for row in read_rows(results)}
    return all(cell.name in found for cell in cells)


def adopt(config: Config, seed: int, cells: Sequence[Cell], finished: Collection[str]) -> bool:
    """Takes over what a part has of a seed; whether it had all of it.

    Rows in `finished` are there. A part that was made of other code or data of the user's own is left alone.
    """
    part = part_of(config, seed)
    if not is_complete(config, seed, cells):
        return False
    made = read_manifest(part)
    if changed_since(made.get("sources", {}), sources_of(config.replace(seeds=(seed,)))):
        return False
    for name in COPIED:
        if (part / name).exists() and (name != "pictures" or seed == config.run.seeds[0]):
            shutil.copytree(part / name, Path(config.run.workdir) / name, dirs_exist_ok=True)
    adopt_revealed(part, Path(config.run.workdir))
    note_part(config, seed, made)
    for row in read_rows(part / "results.jsonl"):
        if row["cell"] not in finished:
            append_row(Path(config.run.workdir) / "results.jsonl", row)
    return True


def remove_parts(config: Config) -> None:
    """Once the run has all that they held, or is to be made anew."""
    shutil.rmtree(Path(config.run.workdir) / PARTS, ignore_errors=True)
