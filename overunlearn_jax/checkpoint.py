"""A pytree of arrays to disk and back, by Orbax: whole or not at all, whenever the process dies, and bit for bit.

Orbax stores no digest from end to end, and loads many a flipped bit as another weight: digests of its files lie beside
them. A checkpoint of an older version has none. It may have cost hours: one that loads is taken as it is and gets its
digests then, with a warning in the log (`logging`, the standard error): nothing tells what became of it before.
"""

import contextlib
import errno
import logging
import os
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from overunlearn_jax.digests import DIGESTS, check_digests, write_digests
from overunlearn_jax.typed_keys import with_keys, without_keys
from overunlearn_jax.types import PyTree

OVERHEAD = 2**16  # bytes, of Orbax's own files

_log = logging.getLogger(__name__)


class CheckpointError(RuntimeError):
    """A checkpoint on disk cannot be used; the message says which and what to do."""


def save(path: str | Path, tree: PyTree) -> None:
    """Writes `tree` to the new directory `path`; it appears under that name only once it is complete.

    Typed keys (`jax.random.key`) are stored as what they hold, beside the name of their kind.

    Raises:
      OSError: naming the path where the disk refuses (full, read-only); nothing else is touched.
    """
    path = Path(path).absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            plain = jax.tree.map(np.asarray, without_keys(tree))
            _check_room(Path(folder), sum(leaf.nbytes for leaf in jax.tree.leaves(plain)))
            with _checkpointer() as checkpointer:
                checkpointer.save(Path(folder) / "tree", plain)
            write_digests(Path(folder) / "tree")
            os.replace(Path(folder) / "tree", path)
    except (OSError, ValueError) as error:
        raise OSError(
            f"cannot write the checkpoint {path}: {error}. Free space or choose another folder and start the same "
            "command again: it goes on from the last complete checkpoint"
        ) from error


def load(path: str | Path, like: PyTree) -> PyTree:
    """Reads what `save` wrote. `like` gives the structure, shapes and dtypes expected; keys are keys of its kinds.

    Raises:
      CheckpointError: where a file is not as it was written, or holds another structure.
    """
    path = Path(path).absolute()
    abstract = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), without_keys(like))
    try:
        has_digests = check_digests(path)
        with _checkpointer() as checkpointer:
            stored, expected = _shapes(checkpointer.metadata(path).item_metadata.tree), _shapes(abstract)
            if differing := sorted(stored.items() ^ expected.items()):
                name = differing[0][0]
                raise ValueError(f"{name} is {stored.get(name)} in it, expected {expected.get(name)}")
            tree = with_keys(jax.tree.map(jnp.asarray, checkpointer.restore(path, abstract)), like)
        if not has_digests:
            _adopt(path)
        return tree
    except Exception as error:  # Orbax and TensorStore raise many kinds for one damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"cannot read the checkpoint {path}: {reason}. It is damaged or belongs to another model; delete that "
            "folder and start the same command again: it is made anew"
        ) from error


def _check_room(folder: Path, size: int) -> None:
    """Raises OSError where the disk has no room for `size` bytes: Orbax tells of that from many threads at once."""
    path = folder / "room"
    with open(path, "wb") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size + OVERHEAD)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
    path.unlink()  # on a disk that cannot reserve room, Orbax finds out


def _adopt(path: Path) -> None:
    with contextlib.suppress(OSError):  # a folder that may only be read is adopted whenever it is read
        write_digests(path)
    _log.warning(
        "%s is of an older version, without digests: taken as it is, and %s written beside it. If you doubt it, delete "
        "that folder and start the same command again: it is made anew",
        path,
        DIGESTS,
    )


def _checkpointer() -> ocp.StandardCheckpointer:
    """Orbax for this process alone: others that run beside it need not take part."""
    this = jax.process_index()
    options = ocp.options.MultiprocessingOptions(
        primary_host=this, active_processes={this}, barrier_sync_key_prefix=f"process_{this}"
    )
    return ocp.StandardCheckpointer(multiprocessing_options=options)


def _shapes(tree: PyTree) -> dict[str, str]:
    """Path, shape and dtype of every leaf; a NamedTuple and the dict that Orbax makes of it look alike."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): f"{x.dtype}{list(x.shape)}" for path, x in leaves}
