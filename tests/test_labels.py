"""Labels as people have them, and what helps."""

import numpy as np
import pytest

from overunlearn_jax.labels import check_labels

GOOD = np.array([2, 0, 1, 2])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint64])
def test_class_numbers_of_any_integer_type_become_int32(dtype):
    checked = check_labels("labels", GOOD.astype(dtype), 4, 3)
    assert checked.dtype == np.int32
    np.testing.assert_array_equal(checked, GOOD)
    np.testing.assert_array_equal(check_labels("labels", GOOD.tolist(), 4, 3), GOOD)


NAMES = np.array(["cat", "ant", "bee", "cat"])


@pytest.mark.parametrize(
    ("labels", "advice"),
    [
        (NAMES, "names become class numbers by class_names, labels = np.unique(labels, return_inverse=True)"),
        (NAMES.astype(object), "np.unique(labels, return_inverse=True)"),
        (NAMES.astype("S3"), "np.unique(labels, return_inverse=True)"),
        (np.eye(3)[GOOD], "one-hot rows become class numbers by labels.argmax(1)"),
        (GOOD[:, None], "take the only column, labels[:, 0]"),
        (GOOD.astype(float), "labels.astype(np.int64)"),
        (GOOD.astype(object), "labels.astype(np.int64)"),
        (GOOD.astype(bool), "labels.astype(np.int64)"),
        (GOOD + 0.5, "a class has a whole number, and some of these are none"),
        (np.where(GOOD == 0, np.nan, GOOD), "a class has a whole number"),
        (GOOD[:3], "give as many labels as images, in their order"),
        (np.array(1), "give as many labels as images"),
        (GOOD + 1, "they begin at 1, so subtract 1: labels - 1"),
        (GOOD - 1, "-1 often stands for samples without a label"),
        (GOOD * 10, "number them without gaps by class_names, labels = np.unique(labels, return_inverse=True)"),
        (GOOD - 2, "number them without gaps"),
        (np.full(4, 200_000_000), "number them without gaps"),
    ],
)
def test_the_advice_fits_the_mistake_and_works(labels, advice):
    with pytest.raises(ValueError, match=r"^labels (are|lie in) .*; expected ") as caught:
        check_labels("labels", labels, 4, 3)
    assert advice in str(caught.value)
    for line in ("labels.argmax(1)", "labels[:, 0]", "labels.astype(np.int64)", "labels - 1"):
        if line in advice:
            check_labels("labels", eval(line), 4, 3)
    if "np.unique" in advice:
        _, numbers = np.unique(labels, return_inverse=True)
        check_labels("labels", numbers, 4, 3)
