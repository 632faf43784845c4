"""A gate that scores each sample and refuses those that are stranger than a threshold.

All scores in this folder point the same way: the higher, the stranger. A threshold of infinity refuses nothing, one of
-infinity everything. `calibrated` puts in a threshold that honest people's samples give.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from overunlearn_jax.defences.gate import Decision, View
from overunlearn_jax.labels import check_labels
from overunlearn_jax.pixels import check_pixels
from overunlearn_jax.types import DatasetSpec, Request

Score = Callable[[Request, View], np.ndarray]  # shape=(n,), any float dtype; each sample's by itself alone


@dataclass(frozen=True, eq=False)
class ScoredGate:
    """Accepts the samples whose score is at most the threshold; a score of NaN is refused, a threshold of NaN an error.

    With a threshold for each class, a sample's score is its distance above the threshold of the class that was
    submitted with it, and is compared with 0.

    >>> from overunlearn_jax.types import Bounds
    >>> gate = ScoredGate("dark", lambda request, view: -request.images.mean((1, 2, 3)), 0.25, "it is too dark")
    >>> spec = DatasetSpec("one pixel", (1, 1, 1), Bounds(-0.5, 0.5), ("a", "b"))
    >>> request = Request(np.array([-0.5, 0.5], np.float32).reshape(2, 1, 1, 1), np.array([0, 1]))
    >>> gate(request, View(spec, None)).accepted.tolist()
    [False, True]
    """

    name: str
    score: Score
    threshold: float | np.ndarray  # or shape=(k,): for each class
    why: str  # what is wrong with a sample that is refused, in words

    def __post_init__(self) -> None:
        if np.isnan(self.threshold).any():
            raise ValueError(f"the threshold of {self.name} is {self.threshold}; expected numbers, or infinity")

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, request: Request, view: View) -> Decision:
        """The decision about each sample. Raises ValueError for a request that does not fit the data set."""
        checked = check_submitted(request, view.spec)
        scores = np.asarray(self.score(checked, view), np.float64)
        threshold, shifted = 0.0, scores
        if np.ndim(self.threshold):
            limits = np.asarray(self.threshold, np.float64)
            if limits.shape != (view.spec.num_classes,):
                raise ValueError(
                    f"the thresholds of {self.name} have shape {limits.shape}; expected one number, or "
                    f"({view.spec.num_classes},): one a class"
                )
            shifted = scores - limits[checked.labels]
        else:
            threshold = float(self.threshold)
        return Decision(self.name, shifted <= threshold, shifted, threshold, self.why)


def check_submitted(request: Request, spec: DatasetSpec) -> Request:
    """`request` as NumPy arrays. Raises ValueError for images or labels that are not of the data set."""
    images = check_pixels("the request's images", request.images, spec.bounds)
    if images.shape[1:] != tuple(spec.image_shape):
        raise ValueError(
            f"the request's images have shape {images.shape}; expected (n, {', '.join(map(str, spec.image_shape))})"
        )
    return Request(images, check_labels("the request's labels", request.labels, len(images), spec.num_classes))
