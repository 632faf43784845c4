"""The search that sees labels only: near the closest point of the boundary, both sides, at the price charged."""

import jax
import numpy as np
import pytest

from overunlearn_jax.attacks import LabelOnlySettings, Status, push_by_labels
from overunlearn_jax.black_box import BlackBox, QueryBudgetExceededError
from tests.reference.small_victims import Counting, linear_softmax, predicted, random_images, small_spec

TWO = small_spec(num_classes=2)
THREE = small_spec(num_classes=3)
KEY = jax.random.key(0)


class LabelsOnly:
    """Answers one-hot rows: what a service that returns labels looks like behind the wall."""

    def __init__(self, predict, classes):
        self.victim, self.classes = Counting(predict), classes

    def __call__(self, images):
        return np.eye(self.classes, dtype=np.float32)[self.victim(images).argmax(-1)]


def _setting(spec, seed=0, count=6):
    victim = linear_softmax(seed, spec)
    images = random_images(1, 200, spec) * 0.3  # well inside the bounds: the boundary's closest point is, too
    labels = predicted(victim, images)
    mine = np.flatnonzero(labels == 0)[:count]
    others = np.flatnonzero(labels == 1)[:count]
    return victim, images[mine], labels[mine], images[others]


def _push(victim, images, labels, starts, spec, targets=None, budget=None, ids=None, **settings):
    service = BlackBox(spec, victim, budget=budget)
    settings = LabelOnlySettings(spec.bounds, **settings)
    return push_by_labels(service, images, labels, starts, settings, KEY, targets=targets, ids=ids), service


def test_it_ends_near_the_closest_point_of_a_plane():
    victim, images, labels, starts = _setting(TWO)
    result, _ = _push(LabelsOnly(victim, 2), images, labels, starts, TWO, iterations=40)
    weights = np.asarray(victim.args[0], np.float64)
    normal = weights[:, 0] - weights[:, 1]
    closest = np.abs(images.reshape(len(images), -1) @ normal) / np.linalg.norm(normal)
    assert result.crossed.all()
    assert (result.l2_outside >= closest * 0.999).all()  # nothing across is nearer
    assert (result.l2_outside <= closest * 1.15).all()
    assert (np.linalg.norm((starts - images).reshape(len(images), -1), axis=1) > 1.5 * closest).all()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *[(name, value) for name in ("iterations", "directions", "halvings", "group") for value in (-1, 1.5, np.nan)],
        ("directions", 0),
        ("group", 0),
        ("max_l2", np.nan),
        ("max_l2", -1.0),
    ],
)
def test_settings_that_make_no_search_are_refused_before_anything_is_sent(setting, value):
    victim, images, labels, starts = _setting(TWO)
    service = LabelsOnly(victim, 2)
    with pytest.raises(ValueError, match=f"{setting} is {value}; expected a"):
        _push(service, images, labels, starts, TWO, **{setting: value})
    assert service.victim.received == 0


def test_both_images_are_on_their_sides_and_close_together():
    victim, images, labels, starts = _setting(THREE)
    result, _ = _push(LabelsOnly(victim, 3), images, labels, starts, THREE, iterations=10)
    assert (predicted(victim, result.inside) == labels).all()
    assert (predicted(victim, result.outside) != labels).all()
    gap = np.sqrt(((result.inside - result.outside) ** 2).sum((1, 2, 3)))
    assert (gap <= result.l2_outside / 2**8).all()
    for image, distance in [(result.inside, result.l2_inside), (result.outside, result.l2_outside)]:
        np.testing.assert_allclose(distance, np.sqrt(((image - images) ** 2).sum((1, 2, 3))), atol=1e-6)
    assert image.min() >= THREE.bounds.lower
    assert image.max() <= THREE.bounds.upper


def test_what_is_charged_is_what_the_service_received():
    victim, images, labels, starts = _setting(THREE)
    service = LabelsOnly(victim, 3)
    result, box = _push(service, images, labels, starts, THREE, iterations=3, directions=10)
    assert box.queries == service.victim.received == result.queries.sum()
    assert (result.queries >= 2 + 4 * 12 + 3 * 10 + 3).all()
    assert (result.steps == 3).all()


@pytest.mark.parametrize("group", [1, 4, 16])
def test_a_sample_s_result_depends_on_its_id_alone(group):
    victim, images, labels, starts = _setting(THREE)
    ids = np.arange(6) + 10
    together, _ = _push(LabelsOnly(victim, 3), images, labels, starts, THREE, ids=ids, iterations=3, group=group)
    for row in (0, 5):
        one = slice(row, row + 1)
        alone, _ = _push(
            LabelsOnly(victim, 3), images[one], labels[one], starts[one], THREE, ids=ids[one], iterations=3
        )
        np.testing.assert_allclose(alone.outside[0], together.outside[row], atol=1e-6)
        assert alone.queries[0] == together.queries[row]
    other, _ = _push(LabelsOnly(victim, 3), images, labels, starts, THREE, ids=ids + 1, iterations=3, group=group)
    assert np.abs(other.outside - together.outside).max() > 1e-3


def test_a_targeted_search_ends_at_its_target():
    victim, images, labels, starts = _setting(THREE)
    targets = predicted(victim, starts)
    result, _ = _push(victim, images, labels, starts, THREE, targets=targets, iterations=5)
    assert result.crossed.all()
    assert (predicted(victim, result.outside) == targets).all()
    assert (predicted(victim, result.inside) == labels).all()


def test_each_group_is_told_of_as_it_ends():
    victim, images, labels, starts = _setting(THREE)
    heard = []
    settings = LabelOnlySettings(THREE.bounds, iterations=1, directions=5, group=4)
    service = BlackBox(THREE, victim)
    result = push_by_labels(
        service, images, labels, starts, settings, KEY, on_finished=lambda *told: heard.append((told, service.queries))
    )
    assert [told[0].tolist() for told, _ in heard] == [[0, 1, 2, 3], [4, 5]]
    for index, field in enumerate(result._fields):
        np.testing.assert_array_equal(np.concatenate([told[1][index] for told, _ in heard]), getattr(result, field))
    assert heard[0][1] == result.queries[:4].sum()  # before the next group was asked for


def test_samples_that_cannot_be_searched_cost_two_queries_and_stay():
    victim, images, labels, starts = _setting(THREE)
    labels, starts = labels.copy(), starts.copy()
    labels[1] = 2  # not predicted so
    starts[2] = images[3]  # not across
    result, _ = _push(victim, images, labels, starts, THREE, iterations=2)
    assert result.status[:3].tolist() == [Status.CROSSED, Status.SKIPPED, Status.NOT_STARTED]
    assert result.queries[1:3].tolist() == [2, 2]
    np.testing.assert_array_equal(result.outside[1:3], images[1:3])
    assert result.crossed.sum() == 4
    nobody, _ = _push(victim, images, np.full(6, 2, np.int32), starts, THREE)
    assert not nobody.crossed.any()


def test_more_iterations_never_end_farther_away():
    victim, images, labels, starts = _setting(THREE)
    near = [_push(victim, images, labels, starts, THREE, iterations=count)[0].l2_outside for count in (0, 5, 20)]
    assert (near[1] <= near[0]).all()
    assert (near[2] <= near[1]).all()
    assert near[2].mean() < 0.8 * near[0].mean()


def test_bad_input_and_an_empty_budget():
    victim, images, labels, starts = _setting(THREE)
    with pytest.raises(ValueError, match="2 starts for 6 images"):
        _push(victim, images, labels, starts[:2], THREE)
    with pytest.raises(ValueError, match="labels lie in"):
        _push(victim, images, labels + 5, starts, THREE)
    with pytest.raises(QueryBudgetExceededError):
        _push(victim, images, labels, starts, THREE, budget=50)
