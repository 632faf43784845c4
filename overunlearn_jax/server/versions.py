"""Files of the model's versions: written whole, on disk before anyone is told, read with a digest."""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.files import write_bytes
from overunlearn_jax.services.fingerprint import weights_digest
from overunlearn_jax.types import Variables


class DamagedVersionError(RuntimeError):
    """A file does not hold the version that the journal says; the message names it and says what to do."""


class VersionFiles:
    """The folder of the versions.

    Args:
      folder: of the files.
      like: weights of the same structure, shapes and dtypes.
    """

    def __init__(self, folder: Path, like: Variables):
        self._folder, self._like = folder, like
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, number: int) -> Path:
        """Where a version lies."""
        return self._folder / f"{number:08d}.npz"

    def write(self, number: int, variables: Variables) -> str:
        """Writes a version and returns the digest of its weights. Raises OSError where the disk refuses."""
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(variables)]
        described = json.dumps([[str(leaf.dtype), leaf.shape] for leaf in leaves])
        buffer = io.BytesIO()
        raw: dict[str, Any] = {str(index): np.frombuffer(leaf.tobytes(), np.uint8) for index, leaf in enumerate(leaves)}
        np.savez(buffer, described=np.array(described), **raw)
        write_bytes(self.path(number), buffer.getvalue())
        directory = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(directory)  # the new name, too, is on disk
        finally:
            os.close(directory)
        return weights_digest(variables)

    def read(self, number: int, digest: str) -> Variables:
        """The weights of a version. Raises DamagedVersionError where they do not have the digest."""
        path = self.path(number)
        try:
            with np.load(path, allow_pickle=False) as file:
                described = json.loads(str(file["described"]))
                leaves = [
                    np.frombuffer(file[str(index)].tobytes(), jnp.dtype(dtype)).reshape(shape)
                    for index, (dtype, shape) in enumerate(described)
                ]
            variables: Variables = jax.tree.unflatten(jax.tree.structure(self._like), map(jnp.asarray, leaves))
            found = weights_digest(variables)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise DamagedVersionError(f"{path} cannot be read ({error}): {_REMEDY}") from error
        if found != digest:
            raise DamagedVersionError(f"{path} holds weights {found}; the journal has {digest}: {_REMEDY}")
        return variables

    def delete_others(self, kept: set[int]) -> None:
        """Deletes every file but those of the versions `kept`: what is old, and what a kill has left."""
        names = {self.path(number).name for number in kept}
        for path in self._folder.iterdir():
            if path.name not in names:
                path.unlink(missing_ok=True)


_REMEDY = (
    "bring the file back from a copy, or start with --from_version=NUMBER to go on from another version, whose model "
    "knows again what later ones had forgotten"
)
