"""Seeds of a run that were made apart, as by the workers of a cluster: the run takes them over in place of making them.

A part is a workdir of one seed below the run's. Its rows go into the run's one by one, as if they had just been
measured, so that a kill at any moment loses none and repeats none. Once the run is complete its parts are removed.
"""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from experiments.config import Config
from experiments.requests.revealed import adopt_revealed
from experiments.run.locks import alone_in
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
    """Whether a part holds all of a seed of this run, its report and the files that are asked for included.

    Raises ValueError for a part that was made with other settings, or other code or data of the user's own.
    """
    part = part_of(config, seed)
    results = part / "results.jsonl"
    if not results.exists() or not has_manifest(part) or not (part / "report.html").exists():
        return False
    own = config.replace(seeds=(seed,))
    changed = [*changed_settings_of(part, own), *changed_since(read_manifest(part).get("sources", {}), sources_of(own))]
    if changed:
        raise ValueError(
            f"{part} holds seed {seed} of a run of other {', '.join(dict.fromkeys(changed))}: remove that folder, or "
            "give another --workdir"
        )
    if config.run.save_requests and not Config.from_json(part / "config.json").run.save_requests:
        return False
    found = {row["cell"] for row in read_rows(results)}
    return all(cell.name in found for cell in cells)


def adopt(config: Config, seed: int, cells: Sequence[Cell], finished: Collection[str]) -> bool:
    """Takes over what a part has of a seed; whether it had all of it. Rows in `finished` are there.

    Raises OccupiedError where a worker is still at it, and ValueError as `is_complete` does.
    """
    part, workdir = part_of(config, seed), Path(config.run.workdir)
    if not part.exists():
        return False
    with alone_in(part):
        if not is_complete(config, seed, cells):
            return False
        for name in COPIED:
            if (part / name).exists() and (name != "pictures" or seed == config.run.seeds[0]):
                shutil.copytree(part / name, workdir / name, dirs_exist_ok=True)
        adopt_revealed(part, workdir)
        note_part(config, seed, read_manifest(part))
        for row in read_rows(part / "results.jsonl"):
            if row["cell"] not in finished:
                append_row(workdir / "results.jsonl", row)
    return True


def remove_parts(config: Config) -> None:
    """Once the run holds all of them, or is to be made anew. Raises OccupiedError where a worker is at one."""
    folder = Path(config.run.workdir) / PARTS
    for part in sorted(folder.iterdir()) if folder.exists() else ():
        with alone_in(part):
            shutil.rmtree(part)
    if folder.exists():
        folder.rmdir()
