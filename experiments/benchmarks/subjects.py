"""Whom the benchmarks attack: CIFAR-10 victims trained on real images where the data set is at hand."""

import sys
from typing import NamedTuple

import jax
import numpy as np

from experiments.config import Config
from experiments.run.keys import seed_keys
from experiments.victims.architectures import build_model, describe_model
from experiments.victims.cache import train_or_find
from overunlearn_jax import data
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.models import predict_fn
from overunlearn_jax.types import Bounds, DatasetSpec, PredictFn, Split

BRIEF_IMAGES, BRIEF_EPOCHS = 1024, 2  # for the victims whose speed alone is looked at


class Subject(NamedTuple):
    """A victim and images that it predicts rightly."""

    name: str
    trained: str  # how, in words
    spec: DatasetSpec
    predict: PredictFn
    images: np.ndarray  # shape=(n, h, w, c), dtype=float32
    labels: np.ndarray  # shape=(n,), dtype=int32: what the victim predicts


def subject(kind: str, data_dir: str, cache_dir: str, *, brief: bool) -> Subject:
    """The victim `kind`, such as "vgg:32" or "resnet:64": trained as in cifar10_cpu.cfg, briefly, or not at all.

    Without `data_dir` there is nothing to train on: images and weights are random.
    """
    model, _, width = kind.partition(":")
    config = Config.of(
        dataset="cifar10",
        data_dir=data_dir,
        cache_dir=cache_dir,
        model=model,
        width=int(width),
        batch_norm_momentum=0.9 if brief else 0.99,
        epochs=BRIEF_EPOCHS if brief else 20,
        patience=4,
    )
    name = describe_model(config.victim)
    if not data_dir:
        spec = DatasetSpec("random", (32, 32, 3), Bounds(-0.5, 0.5), tuple("abcdefghij"))
        untrained = build_model(config.victim, spec)
        predict = predict_fn(untrained, jax.jit(untrained.init)(jax.random.key(0)))
        images = np.random.default_rng(0).uniform(-0.5, 0.5, (128, *spec.image_shape)).astype(np.float32)
        return Subject(
            name,
            "random weights",
            spec,
            predict,
            images,
            predict_in_batches(predict, images).argmax(-1).astype(np.int32),
        )
    splits = data.load(config.data.dataset, data_dir=data_dir, seed=0)
    if brief:
        train, validation = (Split(*(array[:BRIEF_IMAGES] for array in part)) for part in splits[1:3])
        splits = splits._replace(train=train, validation=validation)
    print(f"{name}: training, or finding in {cache_dir}", file=sys.stderr)
    victim = train_or_find(config.victim, config.service, config.run, splits, 0, seed_keys(0).train)
    airplanes = np.flatnonzero(splits.train.labels == 0)
    predicted = predict_in_batches(victim.service.predict, splits.train.images[airplanes]).argmax(-1)
    chosen = airplanes[predicted == 0] if (predicted == 0).sum() >= 64 else airplanes
    images = splits.train.images[chosen]
    labels = predict_in_batches(victim.service.predict, images).argmax(-1).astype(np.int32)
    images_seen = len(splits.train.labels)
    return Subject(
        name,
        f"{images_seen:,} images, at most {config.victim.epochs} epochs",
        splits.spec,
        victim.service.predict,
        images,
        labels,
    )
