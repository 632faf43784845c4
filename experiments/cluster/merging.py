"""The seeds of a run, made apart, as one run: its workdir is then what one machine would have made of it."""

import json
import shutil
from pathlib import Path

from experiments.cluster.tasks import part_of
from experiments.config import Config
from experiments.run.outputs import MANIFEST, has_manifest, read_manifest
from overunlearn_jax.digests import sealed_text
from overunlearn_jax.files import write_bytes

FILES = ("pictures", "requests")  # folders beside the rows


def merge(config: Config) -> None:
    """Puts rows, manifest, pictures and requests of the seeds into the run's workdir.

    Rows stand in the order of the seeds, as on one machine; seeds that the workdir holds and no part does stay.
    """
    workdir = Path(config.run.workdir)
    results = workdir / "results.jsonl"
    lines = {seed: _lines(results, seed) for seed in config.run.seeds}
    parts = [seed for seed in config.run.seeds if (part_of(config, seed) / "results.jsonl").exists()]
    if not parts:
        return
    lines |= {seed: _lines(part_of(config, seed) / "results.jsonl", seed) for seed in parts}
    manifests = [read_manifest(part_of(config, seed)) for seed in parts]
    if has_manifest(workdir):
        manifests.insert(0, read_manifest(workdir))
    made = manifests[0] | {"seeds": [*config.run.seeds], "seconds": sum(each["seconds"] for each in manifests)}
    write_bytes(workdir / MANIFEST, sealed_text(made).encode())
    for seed in parts:
        for name in FILES:
            folder = part_of(config, seed) / name
            if folder.exists() and (name != "pictures" or seed == config.run.seeds[0]):
                shutil.copytree(folder, workdir / name, dirs_exist_ok=True)
    write_bytes(workdir / "config.json", config.replace(force=False).to_json().encode())
    write_bytes(results, "".join(line for seed in config.run.seeds for line in lines[seed]).encode())
    for seed in parts:
        shutil.rmtree(part_of(config, seed))


def _lines(path: Path, seed: int) -> list[str]:
    """The rows of one seed, as they are written."""
    if not path.exists():
        return []
    return [line for line in path.read_text().splitlines(keepends=True) if json.loads(line)["seed"] == seed]
