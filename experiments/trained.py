"""A victim that was trained elsewhere: the weights that a service has deployed, in place of our own training."""

import hashlib

import jax
import numpy as np

from experiments.config import Config
from overunlearn_jax.models import Model
from overunlearn_jax.types import Variables
from overunlearn_jax.user_code import check_form, import_named, not_finite, running


def load_trained(config: Config) -> Variables:
    """What the function of `--trained` returns. Raises ValueError for a name that is not there, and where it fails."""
    load = import_named(config.trained, "--trained=")
    with running(f"--trained={config.trained}", "load()"):
        variables: Variables = load()
    return variables


def check_trained(config: Config, model: Model, variables: Variables) -> None:
    """Raises ValueError for what are no weights of the model."""
    name = f"--trained={config.trained}"
    made = jax.eval_shape(model.init, jax.random.key(0))
    check_form(name, variables, made, f"what init of --model={config.model} makes, after training")
    if path := not_finite(variables):
        raise ValueError(f"{name} returned {path} with NaN or infinity: that is no trained model")


def digest_of(variables: Variables) -> str:
    """16 hexadecimal digits that change with any weight."""
    hasher = hashlib.blake2b(digest_size=8)
    for path, leaf in jax.tree.leaves_with_path(variables):
        array = np.asarray(leaf)
        hasher.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        hasher.update(array.tobytes())
    return hasher.hexdigest()
