"""Halving the way between the last image inside and the first outside."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.attacks import Status, ZooSettings, bisect, push
from overunlearn_jax.black_box import BlackBox, QueryBudgetExceededError
from tests.reference.small_victims import linear_softmax, predicted, random_images, small_spec

SPEC = small_spec()
VICTIM = linear_softmax(0, SPEC)
SETTINGS = ZooSettings(SPEC.bounds, coordinates=6, step_size=0.1, difference=1e-2, max_steps=200)
IMAGES = random_images(1, 8, SPEC)
LABELS = predicted(VICTIM, IMAGES)
LABELS[3] = (LABELS[3] + 1) % 3  # skipped


def _pushed(targets=None, budget=None):
    service = BlackBox(SPEC, VICTIM, budget=budget)
    settings = SETTINGS._replace(targeted=targets is not None)
    return push(service, IMAGES, LABELS, settings, jax.random.key(0), targets=targets), service


def _gap(result):
    return np.sqrt(((result.inside - result.outside) ** 2).sum((1, 2, 3)))


def _margin(images, labels):
    """log F_label minus the largest other: zero on the boundary."""
    logs = np.log(np.asarray(VICTIM(jnp.asarray(images)), np.float64))
    own = logs[np.arange(len(labels)), labels]
    logs[np.arange(len(labels)), labels] = -np.inf
    return own - logs.max(-1)


@pytest.mark.parametrize("steps", [0, 1, 6])
def test_the_two_sides_stay_on_their_sides_and_come_closer_by_half_each_step(steps):
    before, service = _pushed()
    spent = service.queries
    after = bisect(service, IMAGES, LABELS, before, steps=steps)
    crossed = before.crossed
    assert crossed.sum() == 7
    np.testing.assert_allclose(_gap(after)[crossed], _gap(before)[crossed] / 2**steps, rtol=1e-3)
    assert (predicted(VICTIM, after.inside[crossed]) == LABELS[crossed]).all()
    assert (predicted(VICTIM, after.outside[crossed]) != LABELS[crossed]).all()
    assert service.queries - spent == steps * crossed.sum() == (after.queries - before.queries).sum()
    for image, distance, probabilities in [
        (after.inside, after.l2_inside, after.inside_probabilities),
        (after.outside, after.l2_outside, after.outside_probabilities),
    ]:
        np.testing.assert_allclose(distance, np.sqrt(((image - IMAGES) ** 2).sum((1, 2, 3))), atol=1e-6)
        np.testing.assert_allclose(probabilities[crossed], VICTIM(image)[crossed], atol=1e-5)


def test_many_halvings_end_on_the_boundary():
    before, service = _pushed()
    after = bisect(service, IMAGES, LABELS, before, steps=20)
    kept = after.crossed
    assert np.abs(_margin(after.outside[kept], LABELS[kept])).max() < 1e-4
    assert np.abs(_margin(before.outside[kept], LABELS[kept])).max() > 1e-3


def test_samples_that_did_not_cross_stay_as_they_are_and_the_argument_too():
    before, service = _pushed()
    copy = type(before)(*(array.copy() for array in before))
    after = bisect(service, IMAGES, LABELS, before, steps=3)
    assert before.status[3] == Status.SKIPPED
    for name, one, other, given in zip(before._fields, before, after, copy, strict=True):
        np.testing.assert_array_equal(one, given, err_msg=name)
        np.testing.assert_array_equal(one[3], other[3], err_msg=name)


def test_a_targeted_push_stays_between_its_two_classes():
    labels = predicted(VICTIM, IMAGES)
    targets = (labels + 1) % 3
    service = BlackBox(SPEC, VICTIM)
    settings = SETTINGS._replace(targeted=True, max_steps=400)
    before = push(service, IMAGES, labels, settings, jax.random.key(0), targets=targets)
    after = bisect(service, IMAGES, labels, before, steps=8, targets=targets)
    crossed = before.crossed
    assert crossed.any()
    assert (predicted(VICTIM, after.outside[crossed]) == targets[crossed]).all()
    assert (_gap(after) <= _gap(before)).all()
    inside = predicted(VICTIM, after.inside[crossed]) == labels[crossed]
    unchanged = (after.inside == before.inside)[crossed].all((1, 2, 3))
    assert (inside | unchanged).all()


def test_a_budget_that_does_not_suffice_sends_nothing():
    before, free = _pushed()
    service = BlackBox(SPEC, VICTIM, budget=7 * 5 - 1)
    with pytest.raises(QueryBudgetExceededError, match="35 images to send, 34 of the budget"):
        bisect(service, IMAGES, LABELS, before, steps=5)
    assert service.queries == 0
    with pytest.raises(ValueError, match="steps is -1"):
        bisect(free, IMAGES, LABELS, before, steps=-1)
