"""A victim that was trained elsewhere: the weights that a service has deployed, in place of our own training."""

import functools

import jax

from experiments.config import DataConfig, VictimConfig
from overunlearn_jax import data
from overunlearn_jax.models import Model
from overunlearn_jax.typed_keys import host_copy
from overunlearn_jax.types import Variables
from overunlearn_jax.user_code import check_form, import_named, not_finite, running


@functools.cache  # called once: what it returns may change while a run lasts, and all seeds are of one model
def load_trained(name: str) -> Variables:
    """What the function that `--trained` names returns, in arrays of NumPy.

    Raises ValueError for a name that is not there, and where the function fails.
    """
    load = import_named(name, "--trained=")
    with running(f"--trained={name}", "load()"):
        variables: Variables = host_copy(load())
    return variables


def check_held_out(config: DataConfig) -> None:
    """Raises ValueError for data of which a model that was trained elsewhere has probably seen all."""
    if data.is_path(config.dataset) and data.holds_out_test(config.dataset):
        raise ValueError(
            f"--dataset={config.dataset} has no test part, and a model that was trained elsewhere has probably seen "
            "what would be held out: give test_images and test_labels, or folders train and test"
        )


def check_trained(config: VictimConfig, model: Model, variables: Variables) -> None:
    """Raises ValueError for what are no weights of the model."""
    name = f"--trained={config.trained}"
    made = jax.eval_shape(model.init, jax.random.key(0))
    check_form(name, variables, made, f"what init of --model={config.model} makes, after training")
    if path := not_finite(variables):
        raise ValueError(f"{name} returned {path} with NaN or infinity: that is no trained model")
