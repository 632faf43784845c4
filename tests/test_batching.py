"""Long arrays in pieces of one shape."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.batching import in_batches, predict_all_in_batches, predict_in_batches
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


def _counting(images_seen, kernels, matrix, images):
    images_seen.append(images.shape)
    patches = jax.lax.conv(images.transpose(0, 3, 1, 2), kernels, (1, 1), "SAME")
    return jax.nn.softmax(patches.sum((2, 3)) @ matrix)


@pytest.mark.parametrize("which", ["matrix", "kernels", "nothing"])
def test_versions_give_the_answers_that_each_gives_alone(which):
    rng = np.random.default_rng(0)
    kernels, matrix = rng.normal(size=(3, 2, 1, 3, 3)), rng.normal(size=(3, 2, 3))
    if which != "kernels":
        kernels = kernels[[0, 0, 0]]
    if which != "matrix":
        matrix = matrix[[0, 0, 0]]
    seen = []
    function = functools.partial(_counting, seen)
    versions = [
        jax.tree_util.Partial(function, jnp.asarray(one, jnp.float32), jnp.asarray(other, jnp.float32))
        for one, other in zip(kernels, matrix, strict=True)
    ]
    images = random_images(1, 10, SPEC)
    together = predict_all_in_batches(versions, images, 4)
    assert together.shape == (3, 10, 3)
    assert len(seen) == 1  # traced once, whatever differs
    for answers, version in zip(together, versions, strict=True):
        np.testing.assert_allclose(answers, predict_in_batches(version, images, 4), atol=1e-6)
    if which != "nothing":
        assert np.abs(together[0] - together[1]).max() > 1e-3


def test_versions_of_two_models_are_refused():
    victims = [linear_softmax(0, SPEC), jax.tree_util.Partial(lambda images: images)]
    with pytest.raises(ValueError, match="versions of one model"):
        predict_all_in_batches(victims, random_images(1, 2, SPEC), 2)
