"""Pushed samples on the shelf: crafted in chunks, each written once it is whole, found again by their hash."""

import io
import time
import zipfile
import zlib
from pathlib import Path

import jax
import numpy as np

from experiments.config import Config
from experiments.progress import PushingBar
from experiments.victims import settings_hash
from overunlearn_jax.attacks import PushResult, ZooSettings, push
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.files import write_bytes
from overunlearn_jax.types import Key, Split

RECIPE = 1  # raise it when the engine changes what the same settings give
CHUNK = 25  # samples; a kill loses at most one chunk of queries


def zoo_settings(config: Config, black_box: BlackBox) -> ZooSettings:
    """The engine's settings that the flags ask for."""
    return ZooSettings(
        bounds=black_box.spec.bounds,
        targeted=bool(config.target),
        solver=config.solver,
        space=config.space,
        coordinates=config.coordinates,
        step_size=config.step_size,
        difference=config.difference,
        margin_weight=config.margin_weight,
        kappa=config.kappa,
        max_steps=config.max_steps,
        max_l2=config.max_l2,
        importance=config.importance == "on"
        or (config.importance == "auto" and max(black_box.spec.image_shape[:2]) > 32),
    )


def push_or_find(
    config: Config, victim: str, black_box: BlackBox, samples: Split, key: Key, target: int | None
) -> tuple[PushResult, float]:
    """Pushes `samples` through the black box; returns what became of them and the seconds that it took.

    Chunks that the cache holds are charged their queries, and count the seconds that they once took.
    """
    settings = zoo_settings(config, black_box)
    slots = config.slots or (1 if jax.default_backend() == "cpu" else 32)
    name = settings_hash(
        {
            "recipe": RECIPE,
            "victim": victim,
            **settings._asdict(),
            "block_sizes": config.block_sizes,
            "slots": slots,
            "target": target,
            "budget": black_box.left,
            "key": jax.random.key_data(key).tolist(),
        }
    )
    directory = Path(config.cache_dir) / "pushes" / name
    chunk_size = CHUNK if slots == 1 else 8 * slots  # finished samples make room for others only within a chunk
    chunks = []
    with PushingBar("pushing", len(samples.labels)) as bar:
        for begin in range(0, len(samples.labels), chunk_size):
            part = Split(*(array[begin : begin + chunk_size] for array in samples))
            path = directory / f"{'_'.join(map(str, part.ids[[0, -1]]))}_{len(part.ids)}.npz"
            chunk = _read(path, part.ids)
            if chunk is None:
                began = time.perf_counter()
                result = push(
                    black_box,
                    part.images,
                    part.labels,
                    settings,
                    key,
                    ids=part.ids,
                    targets=None if target is None else np.full(len(part.labels), target),
                    block_sizes=config.block_sizes,
                    slots=slots,
                )
                chunk = result, time.perf_counter() - began
                _write(path, part.ids, *chunk)
            else:
                black_box.charge(int(chunk[0].queries.sum()))
            chunks.append(chunk)
            bar.update(*chunk)
    results, seconds = zip(*chunks, strict=True)
    return PushResult(*(np.concatenate(arrays) for arrays in zip(*results, strict=True))), sum(seconds)


def _read(path: Path, ids: np.ndarray) -> tuple[PushResult, float] | None:
    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes())) as stored:
            if not np.array_equal(stored["ids"], ids):
                return None
            return PushResult(**{field: stored[field] for field in PushResult._fields}), float(stored["seconds"])
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}): delete it, and its samples are pushed again") from error


def _write(path: Path, ids: np.ndarray, result: PushResult, seconds: float) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, ids=ids, seconds=seconds, **result._asdict())
    write_bytes(path, buffer.getvalue())
