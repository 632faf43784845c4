"""ZooAttack of the Adversarial Robustness Toolbox, on the same jitted victim behind its black-box classifier.

One image at a time: with several in a batch it perturbs the first alone. It would go on after the crossing to come
nearer; here its clock stops when its iterate has crossed. It adds all moves made so far to the image in every step
(version 1.20), so it strides ever faster and its `learning_rate` decides how far it lands: several are tried.
"""

import itertools
import statistics
import time
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.subjects import Subject
from overunlearn_jax.batching import apply_predict

MAX_STEPS = 300
LEARNING_RATES = (1e-2, 3e-3, 1e-3, 3e-4)  # its default first
CONSTANTS = (1.0, 10.0, 100.0)  # its c
PILOTS = 8  # images on which every setting is tried

Setting = tuple[float, float]  # learning rate and constant
Outcome = dict[str, Any]


class _CrossedError(Exception):
    """Ends an attack whose iterate is predicted as another class."""


def pilots(subject: Subject) -> dict[Setting, Outcome]:
    """What each setting makes of the first few images. Raises ImportError where the toolbox is not installed."""
    attack(subject, 1, (LEARNING_RATES[0], CONSTANTS[0]))  # compiles
    return {setting: attack(subject, PILOTS, setting) for setting in itertools.product(LEARNING_RATES, CONSTANTS)}


def attack(subject: Subject, samples: int, setting: Setting) -> Outcome:
    """Seconds, crossings, steps and distances of the first `samples` images, one after the other."""
    from art.attacks.evasion import ZooAttack
    from art.estimators.classification import BlackBoxClassifierNeuralNetwork

    label, steps, last = 0, 0, subject.images[0]

    def predict(batch: np.ndarray) -> np.ndarray:
        nonlocal steps, last
        answers = np.asarray(apply_predict(subject.predict, jnp.asarray(batch, jnp.float32)))
        assert len(batch) in (1, 128)
        if len(batch) == 1:  # the iterate; its 256 probes come in two halves
            steps, last = steps + 1, batch[0]
            if answers[0].argmax() != label:
                raise _CrossedError
        return answers

    classifier = BlackBoxClassifierNeuralNetwork(
        predict, subject.spec.image_shape, 10, channels_first=False, clip_values=tuple(subject.spec.bounds)
    )
    searcher = ZooAttack(
        classifier,
        learning_rate=setting[0],
        max_iter=MAX_STEPS,
        initial_const=setting[1],
        use_resize=False,
        use_importance=False,
        nb_parallel=128,
        batch_size=128,  # of the classifier's calls, the fastest here; with 1 the probes would be sent one at a time
        verbose=False,
    )
    np.random.seed(0)  # the only generator that it knows
    distances, all_steps, failing = [], [], 0.0
    began = time.perf_counter()
    for image, right in zip(subject.images[:samples], subject.labels[:samples], strict=True):
        label, steps, started = int(right), 0, time.perf_counter()
        try:
            searcher.generate(image[None], np.eye(10, dtype=np.float32)[[right]])
            failing += time.perf_counter() - started
        except _CrossedError:
            distances.append(float(np.linalg.norm(last - image)))
        all_steps.append(steps)
    return {
        "learning_rate": setting[0],
        "initial_const": setting[1],
        "seconds": time.perf_counter() - began,
        "seconds_of_failures": failing,
        "crossed": len(distances),
        "mean_steps": statistics.mean(all_steps),
        "mean_l2": statistics.mean(distances) if distances else None,
    }
