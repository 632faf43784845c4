"""Largest difference between probabilities from cached activations and from whole forward passes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.subjects import Subject
from overunlearn_jax.probing import Probes, edited_answers, whole_answers

COORDINATES = 128


def measure(subject: Subject, probes: int = 10_000) -> dict[str, Any]:
    """Over `probes` random changes of one pixel to any value within the bounds; a quarter of them at the border."""
    rng = np.random.default_rng(0)
    height, width, channels = subject.spec.image_shape
    edited, whole = jax.jit(edited_answers), jax.jit(whole_answers)
    largest, moved, done = 0.0, 0.0, 0
    while done < probes:
        image = subject.images[rng.integers(len(subject.images))]
        corners = np.stack([rng.integers(0, end, COORDINATES) for end in (height, width, channels)], -1)
        border = rng.integers(0, 4, COORDINATES // 4)
        corners[: len(border), 0] = np.choose(
            border, [0, height - 1, corners[: len(border), 0], corners[: len(border), 0]]
        )
        corners[: len(border), 1] = np.choose(
            border, [corners[: len(border), 1], corners[: len(border), 1], 0, width - 1]
        )
        blocks = rng.uniform(*subject.spec.bounds, (COORDINATES, 2, 1, 1)).astype(np.float32)
        asked = Probes(jnp.asarray(image)[None], jnp.asarray(corners, jnp.int32)[None], jnp.asarray(blocks)[None])
        one, other = np.asarray(edited(subject.predict, asked)[0]), np.asarray(whole(subject.predict, asked)[0])
        largest = max(largest, float(np.abs(one - other).max()))
        moved = max(moved, float(np.abs(other - other[0]).max()))
        done += 2 * COORDINATES
    return {
        "victim": subject.name,
        "trained": subject.trained,
        "probes": done,
        "largest_difference": largest,
        "largest_change_by_a_probe": moved,
    }
