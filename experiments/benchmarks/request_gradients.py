"""What a request's step is made of: gradients of honest images, of pushed ones, and of the noise that replaces them.

    python -m experiments.benchmarks.request_gradients --config=runs/paper_cpu/cifar10/config.json
    python -m experiments.benchmarks.request_gradients --flagfile=experiments/flagfiles/cifar10_cpu_seeds.cfg \
        --attacks=normal --data_dir=PREPARED_TFDS_FOLDER

For each seed's victim: the norm of the summed gradient in the unlearned parameters, the mean norm of one sample's, the
mean cosine between two samples', and the mean probability of the request's label. Victims and pushed samples are those
of the run, where the cache holds them; with --attacks=normal nothing is pushed.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("bench request_gradients", "python -m experiments.benchmarks.request_gradients")

from typing import NamedTuple

import jax
import numpy as np
from absl import flags

from experiments.config import flags as config_flags
from experiments.pipeline import push_seed
from experiments.victims.cache import choice_of
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.models import predict_fn
from overunlearn_jax.services import recipes
from overunlearn_jax.services.service import HasWeights
from overunlearn_jax.unlearn import gradient_difference, partition_params, replacement_images

SAMPLES = 60  # whose single gradients are compared pairwise


class Gradients(NamedTuple):
    """What the images of one request do to the unlearned parameters."""

    norm_of_sum: float
    norm_of_one: float
    cosine: float
    probability_of_label: float


def define_flags() -> None:
    """Those of a run."""
    config_flags.define_flags()


def main(arguments: list[str]) -> None:
    """Two or three lines for each seed."""
    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}")
    config = config_flags.from_flags(flags.FLAGS)
    for seed in config.run.seeds:
        ready = push_seed(config, seed)
        service, crafted, bounds = ready.victim.service, ready.chosen, ready.splits.spec.bounds
        scope = recipes.scope(choice_of(config.service))
        crossed = slice(None) if crafted.pushed is None else crafted.pushed.crossed
        images, labels = crafted.samples.images[crossed], crafted.samples.labels[crossed]
        asked = {
            "honest": images,
            "noise": np.asarray(replacement_images("noise", ready.keys.unlearn, images, bounds)),
        }
        if crafted.pushed is not None:
            asked["Pushing-I"] = crafted.pushed.inside[crossed]
        for name, submitted in asked.items():
            assert isinstance(service, HasWeights)  # victims of the cache have weights
            print(f"seed {seed}, {name}: {measure(service, scope, submitted, labels)}", flush=True)


def measure(service: HasWeights, scope_name: str, images: np.ndarray, labels: np.ndarray) -> Gradients:
    """Gradients of the loss of `images` under `labels`, all of one class, in the parameters of the scope."""
    selected, rest = partition_params(service.variables.params, scope_name)

    def gradient(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        tree = gradient_difference(service.model.apply, selected, rest, service.variables.state, images, None, labels)
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])

    count = min(SAMPLES, len(images))
    single = np.stack([gradient(images[row : row + 1], labels[row : row + 1]) for row in range(count)])
    norms = np.linalg.norm(single, axis=1)
    directions = single / norms[:, None]
    cosines = (directions @ directions.T)[np.triu_indices(count, 1)]
    probabilities = predict_in_batches(predict_fn(service.model, service.variables), images)[
        np.arange(len(labels)), labels
    ]
    return Gradients(
        float(np.linalg.norm(gradient(images, labels))),
        float(norms.mean()),
        float(cosines.mean()),
        float(probabilities.mean()),
    )
