"""Victims on the shelf: trained once per settings and data, found again by their hash."""

import hashlib
import importlib
import json
from pathlib import Path

import jax

from experiments.config import Config
from experiments.progress import TrainingBar
from overunlearn_jax import checkpoint
from overunlearn_jax.data import digest
from overunlearn_jax.models import Model, resnet, vgg
from overunlearn_jax.training import TrainSettings, fit
from overunlearn_jax.types import DatasetSpec, Splits, Variables

RECIPE = 1  # raise it when models or training change what the same settings give


def build_model(config: Config, spec: DatasetSpec) -> Model:
    """The architecture that `--model` names, for this data set's images and classes."""
    momentum = config.batch_norm_momentum
    if config.model == "vgg":
        return vgg(
            spec.num_classes,
            spec.image_shape,
            blocks=config.blocks,
            width=config.width,
            batch_norm_momentum=momentum,
        )
    if config.model == "resnet":
        return resnet(spec.num_classes, spec.image_shape, width=config.width, batch_norm_momentum=momentum)
    module, _, function = config.model.partition(":")
    if not function:
        raise ValueError(f"--model={config.model}: expected vgg, resnet or my_module:my_function")
    return getattr(importlib.import_module(module), function)(spec.num_classes, spec.image_shape)


def describe_model(config: Config) -> str:
    """The model in a few words, for tables."""
    if config.model == "vgg":
        return f"VGG-{config.blocks} width {config.width}"
    return f"ResNet width {config.width}" if config.model == "resnet" else config.model


def settings_hash(settings: dict[str, object]) -> str:
    """16 hexadecimal digits that change with any setting."""
    return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8).hexdigest()


def train_or_find(config: Config, model: Model, splits: Splits, seed: int) -> tuple[str, Variables]:
    """The victim's name (a hash) and its weights; trains only what the cache does not hold."""
    train = TrainSettings(config.learning_rate, config.batch_size, config.epochs, config.patience)
    settings = {
        "recipe": RECIPE,
        "data": digest(splits),
        "model": config.model,
        "blocks": config.blocks if config.model == "vgg" else None,
        "width": config.width,
        "batch_norm_momentum": config.batch_norm_momentum,
        **train._asdict(),
        "seed": seed,
    }
    name = settings_hash(settings)
    directory = Path(config.cache_dir) / "victims" / name
    finished = directory / "best"
    init_key, fit_key = jax.random.split(jax.random.key(seed))
    if not finished.exists():
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "settings.json").write_text(json.dumps(settings, indent=2) + "\n")
        with TrainingBar(f"victim, seed {seed}") as bar:
            variables = fit(model, splits, train, fit_key, directory=directory, on_step=bar.update)
        checkpoint.save(finished, variables)
        return name, variables
    return name, checkpoint.load(finished, jax.eval_shape(model.init, init_key))
