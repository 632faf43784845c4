"""Trained weights that lie in the repository: a run of the same settings finds them there and trains nothing.

Each victim is NAME.npz, its arrays by the paths of the parameters, and NAME.json: the settings that NAME is a hash of,
what it knows, and the digest of its weights.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from overunlearn_jax.digests import read_sealed, sealed_text
from overunlearn_jax.files import read_npz, settings_hash, write_bytes, write_npz
from overunlearn_jax.services.fingerprint import weights_digest
from overunlearn_jax.types import Variables

KEPT = Path(__file__).parents[1] / "results" / "victims"
REMEDY = "take the file from the repository again, or delete it to train the victim"


def keep(folder: Path, settings: Mapping[str, object], variables: Variables, facts: Mapping[str, Any]) -> Path:
    """Writes a victim's two files, under the hash of all that decided its weights; returns the arrays' path."""
    name = settings_hash(settings)
    described = {"settings": dict(settings), "weights": weights_digest(variables), **facts}
    path = write_npz(folder / f"{name}.npz", **_by_path(variables))
    write_bytes(folder / f"{name}.json", sealed_text(described).encode())
    return path


def find(name: str, like: Variables, folder: Path | None = None) -> Variables | None:
    """The weights that are kept under a name in `folder` (None: in KEPT), in the form of `like`; None: there are none.

    Raises ValueError, naming file and remedy, for arrays that are not those that were kept.
    """
    path = (folder or KEPT) / f"{name}.npz"
    if not path.exists():
        return None
    expected = _by_path(like)
    arrays = read_npz(path, expected.keys(), REMEDY)
    for key, wanted in expected.items():
        if (arrays[key].shape, arrays[key].dtype) != (wanted.shape, wanted.dtype):
            raise ValueError(f"{path} has {key} of shape {arrays[key].shape}; expected {wanted.shape}: {REMEDY}")
    leaves = [jax.numpy.asarray(arrays[key]) for key in expected]
    variables: Variables = jax.tree.unflatten(jax.tree.structure(like), leaves)
    noted = read_sealed(path.with_suffix(".json"), REMEDY, required=True)["weights"]
    if weights_digest(variables) != noted:
        raise ValueError(f"{path} holds other weights than {path.stem}.json says: {REMEDY}")
    return variables


def _by_path(variables: Variables) -> dict[str, Any]:
    """Arrays, or their shapes, by path: block_0_0_conv.kernel under params."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(variables)
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
        for path, leaf in leaves
    }
