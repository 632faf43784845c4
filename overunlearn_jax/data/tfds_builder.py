"""Finding a TensorFlow Datasets set on disk, preparing it where possible, and saying what is missing."""

import difflib
import importlib.util
import os
from collections.abc import Sequence
from typing import Any


class DatasetNotAvailableError(RuntimeError):
    """A known data set is not on disk in a readable form, and could not be prepared."""


def find_builder(name: str, data_dir: str | os.PathLike[str] | None, built_in: Sequence[str]) -> Any:
    """TFDS's builder of a set, prepared or not; ValueError for a name that TFDS does not know."""
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=None if data_dir is None else os.path.expanduser(data_dir))
    except (AssertionError, ImportError, ValueError) as error:
        known = tfds.list_builders(with_community_datasets=False)
        base = base_name(name)
        if base in known:  # the set exists, the config or the version does not
            configs = ", ".join(list(tfds.builder_cls(base).builder_configs)[:20]) or "none"
            raise ValueError(
                f"TFDS cannot open {name!r}, expected {base!r}, alone or followed by /config or :version; "
                f"its configs: {configs}. TFDS says: {' '.join(str(error).split())}"
            ) from error
        close = difflib.get_close_matches(base, [*built_in, *known], n=5)
        raise ValueError(
            f"unknown data set {name!r}. Built in: {', '.join(built_in)}."
            + (f" Close names: {', '.join(dict.fromkeys(close))}." if close else "")
            + " Expected one of these, the name of another TensorFlow Datasets set, a path to an .npz file, "
            "or a path to an existing folder of images (write ./photos for a folder called photos)."
        ) from error


def base_name(name: str) -> str:
    """`name` without config and version."""
    return name.replace("/", ":").split(":")[0]


def prepare(builder: Any, name: str, data_dir: str | os.PathLike[str] | None, download: bool) -> None:
    """Downloads the set and writes it as ArrayRecord, the format that can be read without TensorFlow."""
    looked = f"It was looked for in {builder.data_path}, which holds no prepared copy."
    prepared_copy = "Point to a prepared copy: --data_dir=DIR (data_dir=DIR in Python)."
    if not download:
        raise not_available(name, data_dir, f"{looked} Downloading is switched off.", prepared_copy)
    if importlib.util.find_spec("tensorflow") is None:
        raise not_available(
            name,
            data_dir,
            f"{looked} Preparing it for the first time needs TensorFlow, which is not installed (reading it does not).",
            'Run: pip install -e ".[prepare]" and then the same command again.',
        )
    import tensorflow_datasets as tfds

    try:
        config = tfds.download.DownloadConfig(try_download_gcs=False)  # the copies there are TFRecord
        builder.download_and_prepare(file_format="array_record", download_config=config)
    except Exception as error:  # whatever the set's own download code raises
        reason = f"{looked} Downloading and preparing it failed: {type(error).__name__}: {str(error)[:500]}"
        help_text = prepared_copy
        if isinstance(error, ModuleNotFoundError) and error.name:
            help_text = f"Run: pip install {error.name} and then the same command again."
        raise not_available(name, data_dir, reason, help_text) from error


def not_available(
    name: str, data_dir: str | os.PathLike[str] | None, reason: str, help_text: str
) -> DatasetNotAvailableError:
    """The error that says what was asked for, why it is not to be had, and the one thing that helps."""
    given = "not given" if data_dir is None else str(data_dir)
    return DatasetNotAvailableError(f"data set {name!r} (data_dir: {given}) is not available. {reason} {help_text}")
