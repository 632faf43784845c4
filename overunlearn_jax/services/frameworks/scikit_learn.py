"""scikit-learn: an estimator that predicts, and a service that forgets and is brought back to a copy of it.

service = scikit_learn_service(estimator, forget, data.spec)      # forget(estimator, images, labels): partial_fit, say
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from overunlearn_jax.services.callables import CallableService, Predict
from overunlearn_jax.services.pixels import PixelFormat
from overunlearn_jax.types import DatasetSpec

FLAT_PIXELS = PixelFormat("flat")

ScikitLearnForget = Callable[[Any, np.ndarray, np.ndarray], object]  # None; (estimator, images, labels)


def scikit_learn_predict(estimator: Any, num_classes: int) -> Predict:
    """`predict` of a fitted classifier with `predict_proba`.

    Args:
      estimator: trained on images of shape (n, features) and class numbers; may have seen fewer classes than there are.
      num_classes: k.

    Returns:
      A function of images (n, ...), which it flattens, to probabilities (n, k), float64: 0 for classes that the
      estimator has never seen.

    Raises:
      ValueError: an estimator without `predict_proba`, one that is not fitted, or one that was trained on something
        else than class numbers in 0 ... k - 1.
    """
    _columns(estimator, num_classes)

    def predict(images: np.ndarray) -> np.ndarray:
        columns = _columns(estimator, num_classes)  # forgetting may change them
        probabilities = np.zeros((len(images), num_classes))
        probabilities[:, columns] = estimator.predict_proba(images.reshape(len(images), -1))
        return probabilities

    return predict


def scikit_learn_service(
    estimator: Any, forget: ScikitLearnForget, spec: DatasetSpec, pixels: PixelFormat = FLAT_PIXELS
) -> CallableService:
    """An estimator that forgets in place, with a reset to what it is now.

    The service has deep copies: the estimator that is given is never changed.

    Args:
      estimator: as deployed; see `scikit_learn_predict`.
      forget: called with (estimator, images, labels): the service's copy, images (n, features) in the range of
        `pixels`, int64 labels. Changes the estimator in place; returns None or the estimator itself, as `partial_fit`.
      spec: the images and classes of the data.
      pixels: how the estimator wants its images.

    Raises:
      ValueError: see `scikit_learn_predict` and `CallableService`.
    """
    deployed = copy.deepcopy(estimator)
    current = copy.deepcopy(estimator)
    scikit_learn_predict(deployed, spec.num_classes)  # errors come now

    def predict(images: np.ndarray) -> Any:
        return scikit_learn_predict(current, spec.num_classes)(images)

    def forget_in_place(images: np.ndarray, labels: np.ndarray) -> object:
        returned = forget(current, images.reshape(len(images), -1), labels)
        return None if returned is current else returned

    def reset() -> None:
        nonlocal current
        current = copy.deepcopy(deployed)

    return CallableService(spec, predict, forget_in_place, reset, pixels=pixels, name=type(estimator).__name__)


def _columns(estimator: Any, num_classes: int) -> np.ndarray:
    """The class of each column of the estimator's probabilities."""
    name = type(estimator).__name__
    if not hasattr(estimator, "predict_proba"):
        raise ValueError(
            f"{name} has no predict_proba, and an audit needs probabilities: take a loss that has them, such as "
            "SGDClassifier(loss='log_loss'), or put it in sklearn.calibration.CalibratedClassifierCV"
        )
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        raise ValueError(f"{name} has no classes_: fit it before it is served")
    columns = np.asarray(classes)
    if columns.ndim != 1 or columns.dtype.kind not in "iu" or columns.min() < 0 or columns.max() >= num_classes:
        raise ValueError(
            f"{name} was trained on the labels {', '.join(map(str, np.ravel(columns)[:10]))}; expected class numbers "
            f"in 0 ... {num_classes - 1}: train it on the data set's labels"
        )
    return columns
