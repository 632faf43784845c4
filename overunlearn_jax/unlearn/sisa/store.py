"""Finished slices on disk, under names that say what they were trained on."""

import hashlib
import json
import shutil
from pathlib import Path

import jax
import numpy as np

from overunlearn_jax import checkpoint
from overunlearn_jax.types import Key, Split, Variables
from overunlearn_jax.unlearn.sisa.plan import Assignment, SisaSettings, slice_rows


class SliceStore:
    """Checkpoints `<directory>/sisa_<settings and key>/shard_<s>/slice_<r>_<samples>`; none without a directory.

    The last part is a hash of all samples that the slice's weights have seen, in order: weights are never taken for
    those of other data. The model is not in the name: a directory serves one.
    """

    def __init__(
        self, directory: str | Path | None, split: Split, assignment: Assignment, settings: SisaSettings, key: Key
    ):
        self._paths: dict[tuple[int, int], Path] = {}
        if directory is None:
            return
        run = json.dumps([settings._asdict(), np.asarray(jax.random.key_data(key)).tolist()])
        self._folder = Path(directory) / f"sisa_{hashlib.blake2b(run.encode(), digest_size=8).hexdigest()}"
        for shard in range(settings.shards):
            seen, known = hashlib.blake2b(digest_size=8), 0
            for number in range(settings.slices):
                rows = slice_rows(assignment, shard, number)
                for row in rows[known:]:
                    seen.update(np.ascontiguousarray(split.images[row]).data)
                    seen.update(f"label {split.labels[row]}".encode())
                known = len(rows)
                seen.update(b"end of slice")
                self._paths[shard, number] = self._folder / f"shard_{shard}" / f"slice_{number}_{seen.hexdigest()}"
        for unfinished in self._folder.glob("shard_*/.slice_*"):  # a kill left it
            shutil.rmtree(unfinished)

    def load(self, shard: int, number: int, like: Variables) -> Variables | None:
        """A slice's weights as host arrays; None where they are not kept. CheckpointError where they are damaged."""
        path = self._paths.get((shard, number))
        return jax.device_get(checkpoint.load(path, like)) if path and path.exists() else None

    def save(self, shard: int, number: int, variables: Variables) -> None:
        """Keeps the weights of a finished slice. Raises OSError where the disk refuses."""
        if path := self._paths.get((shard, number)):
            checkpoint.save(path, variables)

    def delete_others(self) -> None:
        """Deletes the weights in this run's folder that have seen other samples: those that were to be forgotten."""
        if self._paths:
            for path in set(self._folder.glob("shard_*/*")) - set(self._paths.values()):
                shutil.rmtree(path)
