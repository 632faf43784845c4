"""Victims in the cache: trained once per settings and data, found again by their hash, and the service around each."""

import sys
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.config import RunConfig, ServiceConfig, VictimConfig
from experiments.run.locks import one_at_a_time
from experiments.run.progress import SlicesBar, TrainingBar
from experiments.victims import kept
from experiments.victims.architectures import build_model
from experiments.victims.trained import check_trained, load_trained
from overunlearn_jax import checkpoint
from overunlearn_jax.data import digest
from overunlearn_jax.files import settings_hash, write_json
from overunlearn_jax.models import Model
from overunlearn_jax.services.fingerprint import weights_digest
from overunlearn_jax.services.recipes import (
    Ingredients,
    MethodChoice,
    Prepared,
    prepare,
    prepared_settings,
    scope,
    serve,
)
from overunlearn_jax.services.service import HasWeights, Service
from overunlearn_jax.setting_text import read_settings
from overunlearn_jax.training import TrainSettings, fit
from overunlearn_jax.types import Key, Splits, Variables
from overunlearn_jax.user_code import source_digest

RECIPE = 2  # raise it when models or training change what the same settings give


def train_settings(config: VictimConfig) -> TrainSettings:
    """How victims are trained."""
    return TrainSettings(config.learning_rate, config.batch_size, config.epochs, config.patience)


class Victim(NamedTuple):
    """A service under the names by which things are kept."""

    name: str  # of its predictions: pushes and rows are kept under it
    forgetting_name: str  # of how it forgets: rows are kept under it, too
    service: Service
    architecture: Model | None  # what retraining trains: the model, or one shard's of an ensemble; None: unknown
    trained_as: str  # a hash of all that decided its weights: what is trained beside it lies under it

    def retrained_folder(self, cache_dir: str) -> Path:
        """Where models lie that were trained without some of its data."""
        return Path(cache_dir) / "retrained" / self.trained_as


def choice_of(config: ServiceConfig) -> MethodChoice:
    """The unlearning method that the flags name. Raises ValueError for settings that are no name=value."""
    settings = read_settings(config.method_settings)
    return MethodChoice(config.unlearning, settings, config.fidelity, config.taus, config.scope)


def ingredients_of(config: VictimConfig, splits: Splits) -> Ingredients:
    """What a service of these flags is made of, before anything is trained."""
    return Ingredients(splits, build_model(config, splits.spec), train_settings(config))


def train_or_find(
    training: VictimConfig, service: ServiceConfig, run: RunConfig, splits: Splits, seed: int, key: Key
) -> Victim:
    """The service that the flags ask for; trains only what the cache does not hold."""
    choice, ingredients = choice_of(service), ingredients_of(training, splits)
    prepared = prepared_settings(choice, ingredients.train)
    settings = settings_of(training, splits, seed) | prepared
    name = settings_hash(settings)
    if prepared:
        folder = Path(run.cache_dir) / choice.name / name
        write_json(folder / "settings.json", settings)
        made = prepare(choice, ingredients, Prepared(key, folder, SlicesBar))
        return _named(made, ingredients.architecture, name, training, choice, service)
    if training.trained:
        variables = load_trained(training.trained)
        check_trained(training, ingredients.architecture, variables)
        variables = jax.tree.map(jnp.asarray, variables)
        name = settings_hash(settings | {"weights": weights_digest(variables)})
    else:
        variables = _weights(training, ingredients, splits, seed, key, run, settings, name)
    bar = TrainingBar(choice.name)
    folder = Path(run.cache_dir) / "retrained" / name
    made = serve(choice, ingredients, variables, folder, bar, bar.update)
    architecture = None if training.trained else ingredients.architecture
    return _named(made, architecture, name, training, choice, service)


def _weights(
    training: VictimConfig,
    ingredients: Ingredients,
    splits: Splits,
    seed: int,
    key: Key,
    run: RunConfig,
    settings: dict[str, object],
    name: str,
) -> Variables:
    """Trained weights, from the cache where it holds them."""
    directory, model = Path(run.cache_dir) / "victims" / name, ingredients.architecture
    finished = directory / "best"
    if finished.exists():
        return _loaded(finished, model, key)
    with one_at_a_time(directory, f"victim, seed {seed}"):
        if not finished.exists():  # nobody has trained it meanwhile
            write_json(directory / "settings.json", settings)
            if (variables := kept.find(name, jax.eval_shape(model.init, key))) is not None:
                print(f"victim, seed {seed}: its weights are kept, nothing is trained", file=sys.stderr, flush=True)
                checkpoint.save(finished, variables)
                return variables
            with TrainingBar(f"victim, seed {seed}") as bar:
                variables = fit(
                    model, splits, ingredients.train, key, directory=directory / "epochs", on_step=bar.update
                )
            checkpoint.save(finished, variables)
            return variables
    return _loaded(finished, model, key)


def _loaded(finished: Path, model: Model, key: Key) -> Variables:
    loaded: Variables = checkpoint.load(finished, jax.eval_shape(model.init, key))
    return loaded


def _named(
    service: Service,
    architecture: Model | None,
    trained_as: str,
    training: VictimConfig,
    choice: MethodChoice,
    config: ServiceConfig,
) -> Victim:
    """A local service under its names: of its weights and network, and of its method."""
    assert isinstance(service, HasWeights)  # all that is made here is local
    network = {key: value for key, value in _network(training).items() if key != "batch_norm_momentum"}
    name = settings_hash({"weights": weights_digest(service.variables), **network})
    described: dict[str, object] = {"method": choice.name, "settings": dict(choice.settings), "scope": scope(choice)}
    described |= _source("unlearning", config.unlearning)
    return Victim(name, settings_hash(described), service, architecture, trained_as)


def settings_of(config: VictimConfig, splits: Splits, seed: int) -> dict[str, object]:
    """All that decides a victim's weights."""
    return {
        "recipe": RECIPE,
        "data": digest(splits),
        **_network(config),
        **train_settings(config)._asdict(),
        "seed": seed,
    }


def _network(config: VictimConfig) -> dict[str, object]:
    return {
        "model": config.model,
        "blocks": config.blocks if config.model == "vgg" else None,
        "width": config.width,
        "batch_norm_momentum": config.batch_norm_momentum,
        **source_of_model(config),
    }


def source_of_model(config: VictimConfig) -> dict[str, object]:
    """A digest of a user's own model code: changed under the same name it is another victim."""
    return _source("model", config.model)


def _source(flag: str, name: str) -> dict[str, object]:
    return {"source": source_digest(name, f"--{flag}=")} if ":" in name else {}
