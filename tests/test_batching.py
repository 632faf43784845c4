"""Long arrays in pieces of one shape."""

import jax
import numpy as np
import pytest

from overunlearn_jax.batching import in_batches, predict_in_batches
from tests.reference.small_victims import linear_softmax, random_images, small_spec

SPEC = small_spec()


@pytest.mark.parametrize(("count", "batch_size"), [(1, 4), (4, 4), (7, 3), (3, 1), (6, 3)])
def test_every_row_comes_back_once_and_in_order(count, batch_size):
    images = random_images(0, count, SPEC)
    shapes = []

    def call(batch):
        shapes.append(batch.shape)
        return batch.sum((1, 2, 3))

    np.testing.assert_array_equal(in_batches(call, images, batch_size), images.sum((1, 2, 3)))
    assert shapes == [(batch_size, *SPEC.image_shape)] * -(-count // batch_size)


def test_padding_is_the_last_batch_s_own_first_row():
    images, batches = random_images(0, 5, SPEC), []

    def call(batch):
        batches.append(batch)
        return batch

    in_batches(call, images, 3)
    np.testing.assert_array_equal(batches[-1], images[[3, 4, 3]])


@pytest.mark.parametrize(("count", "batch_size"), [(0, 4), (3, 0), (3, -1)])
def test_nothing_to_do_is_refused(count, batch_size):
    with pytest.raises(ValueError, match=f"got {count} and {batch_size}"):
        in_batches(lambda batch: batch, np.zeros((count, 2)), batch_size)


def test_predictions_are_the_victim_s_own():
    predict, images = linear_softmax(0, SPEC), random_images(0, 7, SPEC)
    np.testing.assert_allclose(predict_in_batches(predict, images, 4), predict(images), rtol=1e-5)


def test_another_victim_of_the_same_shape_is_not_traced_again():
    traces = []

    def scaled(scale, images):
        traces.append(images.shape)
        return jax.nn.softmax(images.reshape(len(images), -1) * scale)

    images = random_images(0, 7, SPEC)
    one = predict_in_batches(jax.tree_util.Partial(scaled, 1.0), images, 4)
    two = predict_in_batches(jax.tree_util.Partial(scaled, 2.0), images, 4)
    assert traces == [(4, *SPEC.image_shape)]
    assert not np.allclose(one, two)
