"""Blending with another task: the paper's class B is of the service's own data, a handwritten digit is of none.

Digits themselves have no such request, and it says nothing of other data sets of handwriting.
"""

from collections.abc import Callable

import jax
import numpy as np

from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.attacks import blend
from overunlearn_jax.data import load
from overunlearn_jax.types import DatasetSpec, Request

OTHER_TASK = "other_task"
OWN_TASK = "digits"  # the data set whose task it is
DIGIT = "3"


def with_other_task(
    requests: dict[str, Request], spec: DatasetSpec, ratio: float, probabilities: Callable[[np.ndarray], np.ndarray]
) -> dict[str, Request]:
    """The requests and, where the service's task is another one, the honest one blended with digits."""
    if spec.name == OWN_TASK:
        return requests
    return {**requests, OTHER_TASK: blended_with_digits(requests[HONEST], spec, ratio, probabilities)}


def blended_with_digits(
    honest: Request, spec: DatasetSpec, ratio: float, probabilities: Callable[[np.ndarray], np.ndarray]
) -> Request:
    """The samples of an honest request, each with a digit blended in, labelled as the service predicts them.

    Args:
      honest: images (n, h, w, c) of the service's task.
      spec: of that task.
      ratio: how much of the digit is seen, in [0, 1]: the alpha of equation (1).
      probabilities: answers images (n, h, w, c) with probabilities (n, k).
    """
    images = blend(np.asarray(honest.images), digits(spec, len(honest.labels)), ratio)
    return Request(images, probabilities(images).argmax(-1).astype(np.int32))


def digits(spec: DatasetSpec, count: int) -> np.ndarray:
    """Handwritten digits of scikit-learn as images of another task: enlarged, gray, within its bounds.

    Returns shape=(count, h, w, c), dtype=float32; where there are fewer than `count`, they come again.
    """
    data = load("digits", seed=0)
    of_class = data.train.images[data.train.labels == data.spec.class_names.index(DIGIT)]
    low, high = data.spec.bounds
    in_unit = (of_class[np.arange(count) % len(of_class)] - low) / (high - low)
    height, width, channels = spec.image_shape
    enlarged = np.asarray(jax.image.resize(in_unit, (count, height, width, 1), "linear"))
    low, high = spec.bounds
    return np.clip(np.repeat(low + (high - low) * enlarged, channels, axis=-1), low, high).astype(np.float32)
