"""What a request's step is made of: gradients of honest images, of pushed ones, and of the noise that replaces them.

    python -m experiments.benchmarks.request_gradients --config=runs/paper_cpu/cifar10/config.json
    python -m experiments.benchmarks.request_gradients --flagfile=experiments/flagfiles/cifar10_cpu_seeds.cfg \
        --attacks=normal --data_dir=PREPARED_TFDS_FOLDER

For each seed's victim: the norm of the summed gradient in the unlearned parameters, the mean norm of one sample's, the
mean cosine between two samples', and the mean probability of the request's label. Victims and pushed samples are those
of the run, where the cache holds them; with --attacks=normal nothing is pushed.
"""

from typing import NamedTuple

import jax
import numpy as np
from absl import app, flags

from experiments import config as config_module
from experiments.crafting import Classes, choose_and_push
from experiments.pipeline import seed_keys
from experiments.unlearning import scope
from experiments.victims import Victim, train_or_find
from overunlearn_jax import data
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.unlearn import gradient_difference, partition_params, replacement_images

SAMPLES = 60  # whose single gradients are compared pairwise


class Gradients(NamedTuple):
    """What the images of one request do to the unlearned parameters."""

    norm_of_sum: float
    norm_of_one: float
    cosine: float
    probability_of_label: float


def main(arguments: list[str]) -> None:
    """Two or three lines for each seed."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments {arguments[1:]}")
    config = config_module.from_flags(flags.FLAGS)
    for seed in config.seeds:
        keys = seed_keys(seed)
        splits = data.load(
            config.dataset, data_dir=config.data_dir or None, seed=seed, image_size=config.image_size or None
        )
        victim = train_or_find(config, splits, seed, keys.train)
        box = BlackBox(splits.spec, victim.predict)
        classes = Classes.of(config, splits.spec)
        crafted = choose_and_push(config, victim.name, box, splits, classes, seed, keys.push)
        crossed = slice(None) if crafted.pushed is None else crafted.pushed.crossed
        images, labels = crafted.samples.images[crossed], crafted.samples.labels[crossed]
        asked = {
            "honest": images,
            "noise": np.asarray(replacement_images("noise", keys.unlearn, images, splits.spec.bounds)),
        }
        if crafted.pushed is not None:
            asked["Pushing-I"] = crafted.pushed.inside[crossed]
        for name, submitted in asked.items():
            print(f"seed {seed}, {name}: {measure(victim, scope(config), submitted, labels)}", flush=True)


def measure(victim: Victim, scope_name: str, images: np.ndarray, labels: np.ndarray) -> Gradients:
    """Gradients of the loss of `images` under `labels`, all of one class, in the parameters of the scope."""
    selected, rest = partition_params(victim.variables.params, scope_name)

    def gradient(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        tree = gradient_difference(victim.model.apply, selected, rest, victim.variables.state, images, None, labels)
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])

    count = min(SAMPLES, len(images))
    single = np.stack([gradient(images[row : row + 1], labels[row : row + 1]) for row in range(count)])
    norms = np.linalg.norm(single, axis=1)
    directions = single / norms[:, None]
    cosines = (directions @ directions.T)[np.triu_indices(count, 1)]
    probabilities = predict_in_batches(victim.predict, images)[np.arange(len(labels)), labels]
    return Gradients(
        float(np.linalg.norm(gradient(images, labels))),
        float(norms.mean()),
        float(cosines.mean()),
        float(probabilities.mean()),
    )


if __name__ == "__main__":
    config_module.define_flags()
    app.run(main)
