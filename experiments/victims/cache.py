"""Victims on the shelf: trained once per settings and data, found again by their hash."""

import functools
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.config import Config
from experiments.run.progress import TrainingBar
from experiments.run.sources import of_code
from experiments.victims.sisa import sisa_settings, train_or_find_sisa
from experiments.victims.trained import check_trained, digest_of, load_trained
from overunlearn_jax import checkpoint
from overunlearn_jax.data import digest
from overunlearn_jax.files import write_json
from overunlearn_jax.models import Model, predict_fn, resnet, vgg
from overunlearn_jax.training import TrainSettings, fit
from overunlearn_jax.types import DatasetSpec, Key, PredictFn, Splits, Variables
from overunlearn_jax.unlearn import UnlearnFn
from overunlearn_jax.user_code import import_named, running

RECIPE = 1  # raise it when models or training change what the same settings give


def build_model(config: Config, spec: DatasetSpec) -> Model:
    """The architecture that `--model` names, for this data set's images and classes."""
    return _build(
        config.model, config.blocks, config.width, config.batch_norm_momentum, spec.num_classes, spec.image_shape
    )


@functools.cache  # the same functions for every seed and run, so that JAX compiles once for all victims of a kind
def _build(
    name: str, blocks: int, width: int, momentum: float, num_classes: int, image_shape: tuple[int, int, int]
) -> Model:
    if name == "vgg":
        return vgg(num_classes, image_shape, blocks=blocks, width=width, batch_norm_momentum=momentum)
    if name == "resnet":
        return resnet(num_classes, image_shape, width=width, batch_norm_momentum=momentum)
    if not name.partition(":")[2]:
        raise ValueError(f"--model={name}: expected vgg, resnet or my_module:my_function")
    make = import_named(name, "--model=")
    with running(f"--model={name}", "make(num_classes, image_shape)"):
        made = make(num_classes, image_shape)
    if not isinstance(made, Model):
        raise ValueError(f"--model={name} returned a {type(made).__name__}; expected a Model(init, apply)")
    return made


def describe_model(config: Config) -> str:
    """The model in a few words, for tables."""
    elsewhere = f" with the weights of {config.trained}" if config.trained else ""
    if config.model == "vgg":
        return f"VGG-{config.blocks} width {config.width}{elsewhere}"
    return (f"ResNet width {config.width}" if config.model == "resnet" else config.model) + elsewhere


def settings_hash(settings: dict[str, object]) -> str:
    """16 hexadecimal digits that change with any setting."""
    return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8).hexdigest()


def train_settings(config: Config) -> TrainSettings:
    """How victims are trained."""
    return TrainSettings(config.learning_rate, config.batch_size, config.epochs, config.patience)


class Victim(NamedTuple):
    """A trained model under its name, a hash of settings and data."""

    name: str
    model: Model
    variables: Variables
    architecture: Model  # what retraining trains: the model, or one shard's of an ensemble
    unlearn: UnlearnFn | None = None  # its own, where training prepares for it

    @property
    def predict(self) -> PredictFn:
        """Images to probabilities."""
        return predict_fn(self.model, self.variables)


def train_or_find(config: Config, splits: Splits, seed: int, key: Key) -> Victim:
    """The victim that the flags ask for; trains only what the cache does not hold."""
    if config.unlearning == "sisa":
        return _sisa(config, splits, seed, key)
    model = build_model(config, splits.spec)
    settings = _settings(config, splits, seed)
    if config.trained:
        loaded = load_trained(config.trained)
        check_trained(config, model, loaded)
        name = settings_hash(settings | {"weights": digest_of(loaded)})
        return Victim(name, model, jax.tree.map(jnp.asarray, loaded), model)
    name = settings_hash(settings)
    directory = Path(config.cache_dir) / "victims" / name
    finished = directory / "best"
    if not finished.exists():
        write_json(directory / "settings.json", settings)
        with TrainingBar(f"victim, seed {seed}") as bar:
            variables = fit(
                model, splits, train_settings(config), key, directory=directory / "epochs", on_step=bar.update
            )
        checkpoint.save(finished, variables)
        return Victim(name, model, variables, model)
    return Victim(name, model, checkpoint.load(finished, jax.eval_shape(model.init, key)), model)


def _sisa(config: Config, splits: Splits, seed: int, key: Key) -> Victim:
    """An ensemble that SISA can unlearn from."""
    settings, aggregation = sisa_settings(config)
    described = _settings(config, splits, seed) | {"sisa": settings._asdict(), "aggregation": aggregation}
    name = settings_hash(described)
    folder = Path(config.cache_dir) / "sisa" / name
    write_json(folder / "settings.json", described)
    base = build_model(config, splits.spec)
    trained = train_or_find_sisa(base, splits.train, settings, aggregation, key, folder)
    return Victim(name, trained.model, trained.variables, base, trained.unlearn)


def _settings(config: Config, splits: Splits, seed: int) -> dict[str, object]:
    """All that decides a victim's weights."""
    return {
        "recipe": RECIPE,
        "data": digest(splits),
        "model": config.model,
        "blocks": config.blocks if config.model == "vgg" else None,
        "width": config.width,
        "batch_norm_momentum": config.batch_norm_momentum,
        **train_settings(config)._asdict(),
        "seed": seed,
        **source_of_model(config),
    }


def source_of_model(config: Config) -> dict[str, object]:
    """A digest of a user's own model code: changed under the same name it is another victim."""
    return {"source": of_code("model", config.model)} if ":" in config.model else {}
