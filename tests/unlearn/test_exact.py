"""Retraining: the bits of `fit` on the retained data, and nothing of the trained weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.models import Model
from overunlearn_jax.training import TrainSettings, fit
from overunlearn_jax.types import DatasetSpec, Split, Splits, Variables
from overunlearn_jax.unlearn.exact import retrain
from overunlearn_jax.unlearn.matching import match_samples, without
from tests.unlearn.small_model import BOUNDS, CLASSES, IMAGE_SHAPE, assert_same_tree, request

SPEC = DatasetSpec("noise", IMAGE_SHAPE, BOUNDS, tuple("abcd"))
SETTINGS = TrainSettings(learning_rate=0.05, batch_size=8, epochs=3, patience=3)
KEY = jax.random.key(5)


def _model():
    """Dropout and a tracked mean: a retraining that started elsewhere in either of them would show."""

    def init(key):
        return Variables({"head_logits": 0.1 * jax.random.normal(key, (9, CLASSES))}, {"mean": jnp.zeros(9)})

    def apply(variables, images, key):
        x, mean = images.reshape(len(images), -1), variables.state["mean"]
        if key is not None:
            mean = 0.9 * mean + 0.1 * x.mean(0)
            x = jnp.where(jax.random.bernoulli(key, 0.7, x.shape), x / 0.7, 0)
        return (x - mean) @ variables.params["head_logits"], {"mean": mean}

    return Model(init, apply)


def _split(seed, count):
    return Split(*request(seed, count), np.arange(count))


MODEL, TRAIN, VALIDATION = _model(), _split(0, 40), _split(1, 12)
ROWS = np.array([3, 30, 7, 8])
RETAIN = without(TRAIN, ROWS)
SUBMITTED = TRAIN.images[ROWS] + np.float32(0.01), TRAIN.labels[ROWS]


def _fit(train, key=KEY):
    return fit(MODEL, Splits(SPEC, train, VALIDATION, VALIDATION), SETTINGS, key)


def _retrain(variables, submitted=SUBMITTED, retain=RETAIN, key=KEY, directory=None, on_step=None, settings=SETTINGS):
    unlearn = retrain(spec=SPEC, validation=VALIDATION, settings=settings, directory=directory, on_step=on_step)
    return unlearn(MODEL, variables, *submitted, key, retain)


@pytest.fixture(scope="module")
def trained():
    return _fit(TRAIN, jax.random.key(0))


@pytest.fixture(scope="module")
def retrained(trained):
    return _retrain(trained)


def test_it_is_training_on_what_is_left(trained, retrained):
    assert_same_tree(retrained, _fit(RETAIN))
    assert not np.allclose(retrained.params["head_logits"], trained.params["head_logits"])


def test_what_was_forgotten_makes_a_difference(retrained):
    assert not np.array_equal(_fit(TRAIN).params["head_logits"], retrained.params["head_logits"])


@pytest.mark.parametrize("spoil", [jnp.zeros_like, lambda leaf: leaf + 7, lambda leaf: jnp.full_like(leaf, jnp.nan)])
def test_whatever_the_trained_weights_the_bits_are_the_same(trained, retrained, spoil):
    assert_same_tree(_retrain(jax.tree.map(spoil, trained)), retrained)


def test_the_trained_weights_need_not_even_exist(retrained):
    assert_same_tree(_retrain(None), retrained)


def test_the_submitted_samples_are_not_trained_on(trained, retrained):
    assert_same_tree(_retrain(trained, request(9, 7)), retrained)


def test_the_key_decides(trained, retrained):
    other = _retrain(trained, key=jax.random.key(6))
    assert not np.allclose(other.params["head_logits"], retrained.params["head_logits"])


def test_a_perturbed_request_leads_to_the_same_model(trained, retrained):
    rows = match_samples(SUBMITTED[0], TRAIN, most_l2=0.1).rows
    assert_same_tree(_retrain(trained, retain=without(TRAIN, rows)), retrained)


@pytest.mark.parametrize("retain", [None, without(TRAIN, np.arange(40))])
def test_without_retained_data_it_says_what_is_missing(trained, retain):
    with pytest.raises(ValueError, match=r"retrain needs retained training data.*pass retain=Split"):
        _retrain(trained, retain=retain)


@pytest.mark.parametrize(
    ("submitted", "message"),
    [
        ((SUBMITTED[0][:0], SUBMITTED[1][:0]), "empty"),
        ((SUBMITTED[0], SUBMITTED[1] + CLASSES), rf"expected 0 \.\.\. {CLASSES - 1}"),
    ],
)
def test_a_wrong_request_is_refused(trained, submitted, message):
    with pytest.raises(ValueError, match=message):
        _retrain(trained, submitted)


class _Killed(BaseException):
    pass


def test_a_killed_retraining_goes_on(trained, retrained, tmp_path):
    def on_step(progress):
        if progress.epoch == 2:
            raise _Killed

    with pytest.raises(_Killed):
        _retrain(trained, directory=tmp_path, on_step=on_step)
    seen = []
    resumed = _retrain(trained, directory=tmp_path, on_step=lambda progress: seen.append(progress.epoch))
    assert set(seen) == {2}
    assert_same_tree(resumed, retrained)


def test_the_folder_of_another_request_key_or_setting_is_not_gone_on_with(trained, tmp_path):
    short = SETTINGS._replace(epochs=1)
    changes = [
        {},
        {"retain": RETAIN._replace(labels=RETAIN.labels[::-1])},
        {"key": jax.random.key(6)},
        {"settings": short._replace(learning_rate=0.01)},
    ]
    for number, change in enumerate(changes, start=1):
        seen = []
        _retrain(trained, directory=tmp_path, on_step=seen.append, **{"settings": short} | change)
        assert len(seen) == 4  # every batch of an epoch
        assert len(list(tmp_path.iterdir())) == number
