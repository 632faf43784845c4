"""Every name that crosses a wall between two parts of the package. Read this page first.

Shapes are written with these letters: `n` samples, `h, w, c` height, width and channels of an image,
`k` classes, `p` coordinates probed in one step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

Array = jax.Array
PyTree = Any

Params = PyTree  # what unlearning changes: any pytree of float arrays
Key = jax.Array  # from jax.random.key; every key is used once

Images = Array | np.ndarray  # shape=(n, h, w, c), dtype=float32, inside the data set's bounds
Labels = Array | np.ndarray  # shape=(n,), dtype=int32
Probabilities = Array  # shape=(n, k), dtype=float32, rows sum to 1

PredictFn = Callable[[Images], Probabilities]


class Bounds(NamedTuple):
    """The closed interval that pixel values live in; the paper's images live in [-0.5, 0.5]."""

    lower: float
    upper: float


class DatasetSpec(NamedTuple):
    """What is true of a data set before one image is read."""

    name: str
    image_shape: tuple[int, int, int]  # (h, w, c)
    bounds: Bounds
    class_names: tuple[str, ...]  # length k, position = label

    @property
    def num_classes(self) -> int:
        """k."""
        return len(self.class_names)


class Split(NamedTuple):
    """One part of a data set, on the host."""

    images: np.ndarray  # shape=(n, h, w, c), dtype=float32, inside the bounds
    labels: np.ndarray  # shape=(n,), dtype=int32
    ids: np.ndarray  # shape=(n,), dtype=int64: position in the source's own train or test part


class Splits(NamedTuple):
    """A loaded data set: 80 % of the source's training images train, 20 % validate."""

    spec: DatasetSpec
    train: Split
    validation: Split
    test: Split


class Variables(NamedTuple):
    """Everything a model carries: what is trained, and what is only tracked."""

    params: Params
    state: PyTree = ()  # batch-norm statistics and the like; () where a model has none


class Request(NamedTuple):
    """What a service sees of a request, and all that a user's own unlearning function is given of it."""

    images: Images
    labels: Labels


class UnlearningRequest(NamedTuple):
    """What a user sends to the service, and how it came about. Leading axis: submitted samples."""

    images: np.ndarray  # shape=(n, h, w, c), dtype=float32: what is submitted
    labels: np.ndarray  # shape=(n,), dtype=int32: the label submitted with it
    original_images: np.ndarray  # shape=(n, h, w, c), dtype=float32: what the model was trained on
    original_labels: np.ndarray  # shape=(n,), dtype=int32
    original_ids: np.ndarray  # shape=(n,), dtype=int64: `Split.ids` of the originals
    made_by: str  # one of `attack_names.ATTACK_NAMES`
    queries: np.ndarray  # shape=(n,), dtype=int64: images sent to the black box for this sample
    seconds: float = 0.0  # wall time of crafting it


class Metrics(NamedTuple):
    """How well one model predicts one split. Accuracies are fractions in [0, 1]."""

    overall: float
    per_class: np.ndarray  # shape=(k,), dtype=float64; NaN for a class without samples
    predicted_counts: np.ndarray  # shape=(k, k), dtype=int64; [true label, predicted label]


class DivergedError(ValueError):
    """Training or unlearning blew up: the model is left as it was; the message says why, and what may help."""


class DeletionRefusedError(ValueError):
    """A service declines a request and forgets nothing of it: an answer, and no failure; the message says why."""
