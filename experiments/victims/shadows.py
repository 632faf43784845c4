"""Shadow models for LiRA, trained once for a data set and shared by all victims: what each answers about class A."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from experiments.config import VictimConfig
from experiments.run.locks import one_at_a_time
from experiments.run.progress import TrainingBar
from experiments.victims.architectures import build_model
from experiments.victims.cache import source_of_model, train_settings
from overunlearn_jax.data import digest
from overunlearn_jax.files import read_npz, settings_hash, write_npz
from overunlearn_jax.forgetting import shadow_logits, shadow_subsets
from overunlearn_jax.models import predict_fn
from overunlearn_jax.training import fit
from overunlearn_jax.types import Key, PredictFn, Split, Splits

SEED = 77  # of the shadow models; victims have seeds of their own
VALIDATION = 2000  # samples that a shadow model is not trained on choose its epoch


class Shadows(NamedTuple):
    """What shadow models answer about the samples of class A, and which of them they were trained on."""

    train_ids: np.ndarray  # shape=(m,), dtype=int64: of the training samples, as in `Split.ids`; columns 0 ... m - 1
    logits: np.ndarray  # shape=(s, m + t), dtype=float64: then come the t test samples of class A, in their order
    inside: np.ndarray  # shape=(s, m + t), dtype=bool


def train_or_find_shadows(config: VictimConfig, count: int, cache_dir: str, splits: Splits, class_a: int) -> Shadows:
    """Trains `count` models like the victim, each on half of all training data and of class A's test data."""
    everything = Split(*map(np.concatenate, zip(splits.train, splits.validation, strict=True)))
    order = np.argsort(everything.ids)  # the same whatever the seed that split it
    tested = splits.test.labels == class_a
    pool = Split(
        *(np.concatenate([part[order], test[tested]]) for part, test in zip(everything, splits.test, strict=True))
    )
    of_class = np.flatnonzero(pool.labels == class_a)
    trained = of_class < len(order)

    key = jax.random.key(SEED)
    subset_key, train_key = jax.random.split(key)
    subsets = shadow_subsets(subset_key, len(pool.labels), count)
    settings = {
        "recipe": 1,
        "data": digest(splits._replace(train=pool, validation=Split(*(part[:0] for part in pool)))),
        "model": config.model,
        "blocks": config.blocks,
        "width": config.width,
        "batch_norm_momentum": config.batch_norm_momentum,
        "class_a": class_a,
        **train_settings(config)._asdict(),
        "shadows": count,
        **source_of_model(config),
    }
    folder = Path(cache_dir) / "shadows" / settings_hash(settings)
    logits = []
    for number, model_key in enumerate(jax.random.split(train_key, count)):
        path = folder / f"shadow_{number}.npz"
        words = f"shadow model {number + 1} of {count}"
        if not path.exists():
            with one_at_a_time(folder / f"shadow_{number}", words):
                if not path.exists():  # another process, of another seed, may have been at it
                    train = partial(_train, config, splits, pool, folder / f"shadow_{number}", words)
                    answers = shadow_logits(train, model_key, subsets[number : number + 1], pool.images, pool.labels)
                    write_npz(path, logits=answers[0, of_class])
        remedy = "delete it and start the same command again: that shadow model is asked again"
        logits.append(read_npz(path, ["logits"], remedy)["logits"])
    return Shadows(pool.ids[of_class[trained]], np.stack(logits), subsets[:, of_class])


def _train(
    config: VictimConfig, splits: Splits, pool: Split, directory: Path, words: str, key: Key, rows: np.ndarray
) -> PredictFn:
    """One shadow model, trained on `rows` of the pool as its victim was trained."""
    left_key, fit_key = jax.random.split(key)
    others = np.setdiff1d(np.arange(len(pool.labels)), rows)
    chosen = np.asarray(jax.random.permutation(left_key, others))[: min(VALIDATION, len(others))]
    train, validation = (Split(*(part[some] for part in pool)) for some in (rows, chosen))
    model = build_model(config, splits.spec)
    with TrainingBar(words) as bar:
        own = splits._replace(train=train, validation=validation)
        variables = fit(model, own, train_settings(config), fit_key, directory=directory, on_step=bar.update)
    return predict_fn(model, variables)
