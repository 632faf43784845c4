"""Labels as people have them: names, one-hot rows, numbers from 1 on. What is wrong with them, and what helps."""

import numpy as np

from overunlearn_jax.types import Labels


def check_labels(whose: str, labels: Labels, count: int, num_classes: int) -> np.ndarray:
    """`labels` as int32, shape (count,).

    Args:
      whose: what to call them in an error, in the plural: "labels", "the request's labels".
      labels: shape (count,), any integer dtype, 0 ... num_classes - 1.
      count: how many images they are for.
      num_classes: k.

    Raises:
      ValueError: anything else. The message says what was given, what is expected, and which line of NumPy makes class
        numbers of it: of names, one-hot rows, a column, floats, and of numbers that begin at 1.

    Examples:
      >>> check_labels("labels", np.array([2, 0], np.uint8), 2, 3)
      array([2, 0], dtype=int32)
    """
    array = np.asarray(labels)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise ValueError(
            f"{whose} are {array.dtype} of shape {array.shape}; expected {count} integers, one an image: "
            f"{_advice_on_form(array, count)}"
        )
    if count and (array.min() < 0 or array.max() >= num_classes):
        raise ValueError(
            f"{whose} lie in {array.min()} ... {array.max()}; expected 0 ... {num_classes - 1}: "
            f"{advice_on_range(int(array.min()), int(array.max()), num_classes)}"
        )
    return array.astype(np.int32)


def advice_on_range(lowest: int, highest: int, num_classes: int) -> str:
    """What to do with labels that do not fill 0 ... num_classes - 1."""
    if lowest == 1 and highest <= num_classes:
        return "they begin at 1, so subtract 1: labels - 1"
    if lowest == -1 and highest < num_classes:
        return "-1 often stands for samples without a label, so leave these out"
    return "number them without gaps by class_names, labels = np.unique(labels, return_inverse=True)"


def _advice_on_form(array: np.ndarray, count: int) -> str:
    rows = array.ndim == 2 and len(array) == count
    if rows and array.shape[1] == 1:
        return "take the only column, labels[:, 0]"
    if rows:
        return "one-hot rows become class numbers by labels.argmax(1)"
    if array.shape != (count,):
        return "give as many labels as images, in their order"
    if array.dtype.kind in "US" or (array.dtype.kind == "O" and any(isinstance(each, str | bytes) for each in array)):
        return "names become class numbers by class_names, labels = np.unique(labels, return_inverse=True)"
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all():
        return "a class has a whole number, and some of these are none"
    return "whole numbers of another type become class numbers by labels.astype(np.int64)"
