"""The network that --model names, and the words for it."""

import functools

from experiments.config import VictimConfig
from overunlearn_jax.models import Model, resnet, vgg
from overunlearn_jax.types import DatasetSpec
from overunlearn_jax.user_code import import_named, running


def build_model(config: VictimConfig, spec: DatasetSpec) -> Model:
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


def describe_model(config: VictimConfig) -> str:
    """The model in a few words, for tables."""
    elsewhere = f" with the weights of {config.trained}" if config.trained else ""
    if config.model == "vgg":
        return f"VGG-{config.blocks} width {config.width}{elsewhere}"
    return (f"ResNet width {config.width}" if config.model == "resnet" else config.model) + elsewhere
