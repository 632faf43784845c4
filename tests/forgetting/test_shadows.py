"""Shadow models: every sample in a random half of them, each trained on its own rows with its own key."""

import jax
import numpy as np
import pytest

from overunlearn_jax.forgetting import shadow_logits, shadow_subsets
from tests.forgetting.memorising import CLASSES, random_samples


@pytest.mark.parametrize(("count", "shadows"), [(10, 2), (11, 8), (500, 64)])
def test_every_sample_is_in_half_of_the_subsets_and_every_subset_has_half_of_the_samples(count, shadows):
    subsets = shadow_subsets(jax.random.key(0), count, shadows)
    assert subsets.shape == (shadows, count)
    assert subsets.dtype == bool
    np.testing.assert_array_equal(subsets.sum(0), shadows // 2)
    assert set(subsets.sum(1)) == {count // 2, count - count // 2}


def test_subsets_are_random():
    count, shadows = 40, 2000
    subsets = shadow_subsets(jax.random.key(1), count, shadows)
    # two samples go together in (count / 2 - 1) / (count - 1) of the models; 1,000 independent pairs of models
    together = (subsets.T.astype(float) @ subsets + (~subsets).T.astype(float) @ ~subsets) / shadows
    pairs = together[np.triu_indices(count, 1)]
    expected = (count / 2 - 1) / (count - 1)
    assert np.abs(pairs - expected).max() < 4.5 * 0.5 / np.sqrt(shadows / 2)
    assert len({subset.tobytes() for subset in subsets}) == shadows
    np.testing.assert_array_equal(subsets, shadow_subsets(jax.random.key(1), count, shadows))
    assert not np.array_equal(subsets, shadow_subsets(jax.random.key(2), count, shadows))


@pytest.mark.parametrize(("count", "shadows"), [(10, 3), (10, 0), (10, -2), (1, 4)])
def test_subsets_that_cannot_be_halves_are_refused(count, shadows):
    with pytest.raises(ValueError, match="half"):
        shadow_subsets(jax.random.key(0), count, shadows)


def test_each_shadow_model_is_trained_on_its_rows_with_its_key_and_asked_about_every_sample():
    images, labels = random_samples(0, 300)
    subsets = shadow_subsets(jax.random.key(0), 300, 4)
    told = []

    def train(key, rows):
        told.append((tuple(jax.random.key_data(key).tolist()), rows))
        answer = np.full(CLASSES, 0.05, np.float32)
        answer[len(told)] = 0.55
        return jax.tree_util.Partial(lambda row, images: jax.numpy.tile(row, (len(images), 1)), answer)

    logits = shadow_logits(train, jax.random.key(1), subsets, images, labels)
    assert logits.shape == (4, 300)
    assert len({key for key, _ in told}) == 4
    for model, (_, rows) in enumerate(told):
        np.testing.assert_array_equal(rows, np.flatnonzero(subsets[model]))
        expected = np.where(labels == model + 1, np.log(0.55 / 0.45), np.log(0.05 / 0.95))
        np.testing.assert_allclose(logits[model], expected, rtol=1e-5)


@pytest.mark.parametrize(
    "subsets", [np.ones((2, 5), int), np.ones((2, 4), bool), np.ones(5, bool), np.ones((0, 5), bool)]
)
def test_subsets_that_do_not_fit_the_images_are_refused(subsets):
    images, labels = random_samples(0, 5)
    with pytest.raises(ValueError, match=r"expected bool \(shadows, 5\)"):
        shadow_logits(lambda key, rows: None, jax.random.key(0), subsets, images, labels)
