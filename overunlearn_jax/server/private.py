"""Files and folders for one user alone: what lies in them shows users' samples, and weights that know them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PRIVATE = 0o700
OTHERS = 0o077  # the rights that nobody else has


@contextmanager
def private_files() -> Iterator[None]:
    """What this process makes while the block lasts is for its own user alone."""
    before = os.umask(OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def make_private(folder: Path) -> None:
    """Makes a folder, or has one that is there, that nobody but its owner may enter.

    Raises ValueError where it belongs to another user.
    """
    folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    if folder.stat().st_mode & OTHERS == 0:
        return
    try:
        folder.chmod(PRIVATE)
    except PermissionError as error:
        raise ValueError(
            f"--workdir={folder} is open to others and belongs to another user; expected a folder of your own, "
            "where users' samples are safe: give another --workdir"
        ) from error
