import jax
import numpy as np
import pytest

from overunlearn_jax.unlearn import fine_tuning, first_order
from tests.unlearn.small_model import BOUNDS, CLASSES, request, small_model

METHODS = {"first_order": first_order(0.1, bounds=BOUNDS), "fine_tuning": fine_tuning(num_classes=CLASSES)}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda images, labels: (images[:0], labels[:0]), "empty"),
        (lambda images, labels: (images, labels - CLASSES), rf"expected 0 \.\.\. {CLASSES - 1}"),
        (lambda images, labels: (images, labels + CLASSES), rf"expected 0 \.\.\. {CLASSES - 1}"),
        (lambda images, labels: (images, labels.astype(float)), "float64"),
        (lambda images, labels: (images, labels[:-1]), "one an image"),
        (lambda images, labels: (np.where(images == images.max(), np.nan, images), labels), "NaN"),
    ],
)
def test_a_request_that_cannot_be_unlearned_says_why(method, spoil, message):
    model = small_model()
    images, labels = spoil(*request(0, 4))
    with pytest.raises(ValueError, match=message):
        METHODS[method](model, model.init(jax.random.key(0)), images, labels, jax.random.key(1))
