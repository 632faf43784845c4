"""What the flags say of requests, as the rooms of the package take it."""

from experiments.config import AttackConfig, Config, DataConfig
from overunlearn_jax import data
from overunlearn_jax.auditing.request_settings import Classes, RequestSettings
from overunlearn_jax.types import DatasetSpec, Splits


def request_settings(config: AttackConfig) -> RequestSettings:
    """Which requests the flags ask for."""
    return RequestSettings(
        config.attacks, config.fractions, config.blending_ratio, config.request_labels, config.bisection_steps
    )


def classes_of(config: DataConfig, attack: AttackConfig, spec: DatasetSpec) -> Classes:
    """The classes that the flags name."""
    return Classes.of(spec, config.class_a, config.class_b, attack.target)


def load_splits(config: Config, seed: int) -> Splits:
    """The data set, split by the seed; for a user's own service always alike: it was trained on one training part."""
    split_seed = 0 if config.service.users else seed
    own = config.data
    return data.load(own.dataset, data_dir=own.data_dir or None, seed=split_seed, image_size=own.image_size or None)
