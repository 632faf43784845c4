"""Gradient evaluations: what the methods count is what the network is asked."""

import jax
import numpy as np
import pytest

from overunlearn_jax.training import TrainSettings
from overunlearn_jax.types import DatasetSpec, Split
from overunlearn_jax.unlearn import METHODS, Resources, build
from overunlearn_jax.unlearn.work import count_gradients, counting
from tests.unlearn.small_model import BOUNDS, IMAGE_SHAPE, request, small_model

KEY = jax.random.key(5)
SPEC = DatasetSpec("made up", IMAGE_SHAPE, BOUNDS, tuple("abcd"))
RETAIN = Split(*request(7, 60), np.arange(60))
RESOURCES = Resources(SPEC, Split(*request(8, 20), np.arange(20)), TrainSettings(batch_size=20, epochs=2))


COUNTS = [
    ("first_order", {"tau": "0.1"}, 12),
    ("first_order", {"tau": "0.1", "replacement": "noise"}, 24),
    ("fine_tuning", {"epochs": "3", "batch_size": "5"}, 36),
    ("gradient_ascent", {"steps": "7", "batch_size": "4"}, 28),
    ("neg_grad_plus", {"steps": "5", "batch_size": "8"}, 5 * 16),
    ("random_labels", {"steps": "5", "batch_size": "8"}, 5 * 16),
    ("salun", {"steps": "5", "batch_size": "8"}, 12 + 5 * 16),
    ("scrub", {"rounds": "4", "ascents": "2", "retain_steps": "3", "batch_size": "6"}, 4 * 3 * 6 + 2 * 12),
    ("selective_dampening", {"retain_samples": "50"}, 12 + 50),
    ("influence", {"damping": "1", "solver": "lissa", "iterations": "4", "hessian_samples": "32"}, 12 + 5 * 64),
    ("retain_tuning", {"steps": "4", "batch_size": "8"}, 32),
    ("retrain", {}, 2 * 60),
]


@pytest.mark.parametrize(("name", "settings", "expected"), COUNTS)
def test_counts(name, settings, expected):
    with counting() as work:
        build(name, RESOURCES, settings)(small_model(), small_model().init(KEY), *request(1, 12), KEY, RETAIN)
    assert work.gradient_evaluations == expected


def test_every_method_is_counted():
    assert {name for name, _, _ in COUNTS} == set(METHODS)


def test_nothing_is_counted_outside_and_inner_counts_are_their_own():
    count_gradients(5)
    with counting() as outer:
        count_gradients(1)
        with counting() as inner:
            count_gradients(2)
        count_gradients(4)
    assert (outer.gradient_evaluations, inner.gradient_evaluations) == (5, 2)
