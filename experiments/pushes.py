"""Pushed samples on the shelf: crafted in chunks, each written once it is whole, found again by their hash."""

import io
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
        importance=config.importance,
    )


def push_or_find(
    config: Config, victim: str, black_box: BlackBox, samples: Split, key: Key, target: int | None
) -> PushResult:
    """Pushes `samples` through the black box; chunks that the cache holds cost their queries but no time."""
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
    results = []
    with PushingBar("pushing", len(samples.labels)) as bar:
        for begin in range(0, len(samples.labels), CHUNK):
            rows = slice(begin, begin + CHUNK)
            part = Split(*(array[rows] for array in samples))
            path = directory / f"{'_'.join(map(str, part.ids[[0, -1]]))}_{len(part.ids)}.npz"
            result = _read(path, part.ids)
            if result is None:
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
                _write(path, part.ids, result)
            else:
                black_box.charge(int(result.queries.sum()))
            results.append(result)
            bar.update(result)
    return PushResult(*(np.concatenate(arrays) for arrays in zip(*results, strict=True)))


def _read(path: Path, ids: np.ndarray) -> PushResult | None:
    if not path.exists():
        return None
    try:
        with np.load(path) as stored:
            if np.array_equal(stored["ids"], ids):
                return PushResult(**{field: stored[field] for field in PushResult._fields})
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise ValueError(f"{path} is damaged ({error}): delete it, and its samples are pushed again") from error
    return None


def _write(path: Path, ids: np.ndarray, result: PushResult) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, ids=ids, **result._asdict())
    write_bytes(path, buffer.getvalue())
