"""The push for few queries: along low frequencies, both sides of the boundary, within a budget for every sample."""

import numpy as np
import pytest
from scipy.fft import dctn

from overunlearn_jax.attacks import Status, SubspaceSettings, push_in_subspace
from overunlearn_jax.attacks._subspace_search import _margins, _probes, _steps
from overunlearn_jax.attacks.frequencies import lowest_frequencies
from overunlearn_jax.attacks.subspace_settings import LENGTHS, SHORTEST
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.stealth.pixels import from_8_bits, to_8_bits
from tests.reference.small_victims import (
    COLOURED,
    Counting,
    flat,
    linear_softmax,
    one_by_one,
    predicted,
    random_images,
    small_spec,
    tanh_net,
)

TWO = small_spec(num_classes=2)
THREE = small_spec(num_classes=3)
FEW = SubspaceSettings(directions=6, rounds=6, difference=0.05, near=0.0, halvings=5)


def _setting(victim, spec, count=6):
    """Images of class 0, well inside the bounds, so that no step leaves them."""
    images = random_images(1, 200, spec) * 0.2
    mine = np.flatnonzero(predicted(victim, images) == 0)[:count]
    return images[mine], np.zeros(len(mine), np.int32)


def _push(victim, images, labels, spec, settings=FEW, budget=None, **arguments):
    box = BlackBox(spec, victim, budget=budget)
    return push_in_subspace(box, images, labels, settings, **arguments), box


def _gap(result):
    return np.sqrt(((result.inside - result.outside) ** 2).sum((1, 2, 3)))


@pytest.mark.parametrize(("shape", "count"), [((6, 6, 1), 36), ((4, 6, 3), 72), ((5, 4, 2), 7)])
def test_the_directions_are_orthonormal_and_the_first_ones_of_more(shape, count):
    waves = lowest_frequencies(shape, count)
    assert waves.shape == (count, *shape)
    flattened = waves.reshape(count, -1).astype(np.float64)
    np.testing.assert_allclose(flattened @ flattened.T, np.eye(count), atol=1e-6)
    np.testing.assert_array_equal(waves[:3], lowest_frequencies(shape, 3))


def test_each_direction_is_one_wave_in_one_channel_and_the_slowest_come_first():
    height, width, channels = 4, 6, 3
    squared = []
    for place, wave in enumerate(lowest_frequencies((height, width, channels), height * width * channels)):
        row, column, channel = np.argwhere(np.abs(dctn(wave, axes=(0, 1), norm="ortho")) > 1e-6).T
        assert len(row) == 1
        assert channel[0] == place % channels
        squared.append((row[0] / height) ** 2 + (column[0] / width) ** 2)
    assert (np.diff(squared) >= 0).all()


@pytest.mark.parametrize("count", [0, 37])
def test_directions_that_an_image_does_not_have(count):
    with pytest.raises(ValueError, match=f"{count} directions of images"):
        lowest_frequencies((6, 6, 1), count)


@pytest.mark.parametrize("count", [3, 6, 18])
def test_one_round_goes_straight_to_a_plane_as_near_as_the_subspace_allows(count):
    """The margin of two classes is linear: m(x + t d) = m(x) + t g d, and no direction of the subspace is steeper."""
    victim = linear_softmax(0, TWO)
    images, labels = _setting(victim, TWO)
    # Shifted to a margin of 0.2, so that no step leaves the bounds.
    weights = np.asarray(victim.args[0], np.float64)
    normal = weights[:, 0] - weights[:, 1]
    images = images.reshape(len(images), -1).astype(np.float64)
    images -= ((images @ normal - 0.2) / (normal @ normal))[:, None] * normal
    images = images.reshape(-1, *TWO.image_shape).astype(np.float32)
    settings = FEW._replace(directions=count, rounds=1, halvings=14)
    result, _ = _push(victim, images, labels, TWO, settings)
    inside_subspace = lowest_frequencies(TWO.image_shape, count).reshape(count, -1) @ normal
    expected = (images.reshape(len(images), -1) @ normal) / np.linalg.norm(inside_subspace)
    assert result.crossed.all()
    np.testing.assert_allclose(result.l2_outside, expected, rtol=2e-2)
    np.testing.assert_allclose(result.l2_inside, expected, rtol=2e-2)
    moved = (result.outside - images).reshape(len(images), -1) / expected[:, None]
    steepest = lowest_frequencies(TWO.image_shape, count).reshape(count, -1).T @ inside_subspace
    np.testing.assert_allclose(
        moved, np.tile(-steepest / np.linalg.norm(steepest), (len(images), 1)), rtol=0.1, atol=0.02
    )


def test_more_rounds_bring_it_nearer_for_other_directions_are_remembered():
    victim = tanh_net(0, THREE)
    images, labels = _setting(victim, THREE)
    two, six = (_push(victim, images, labels, THREE, FEW._replace(rounds=rounds))[0] for rounds in (2, 6))
    assert two.crossed.sum() >= 3
    assert six.crossed.all()
    nearer = six.l2_outside[two.crossed] / two.l2_outside[two.crossed]
    assert (nearer < 0.8).sum() >= len(nearer) - 1  # one may have been as near as this image gets
    assert nearer.max() <= 1


def test_both_images_are_on_their_sides_close_together_and_measured():
    victim = tanh_net(0, THREE)
    images, labels = _setting(victim, THREE)
    result, _ = _push(victim, images, labels, THREE)
    assert result.crossed.all()
    assert (predicted(victim, result.inside) == labels).all()
    assert (predicted(victim, result.outside) != labels).all()
    # Halved five times; it was a step of the line, of which the image across may have been the first half.
    assert (_gap(result) <= np.maximum(result.l2_outside, SHORTEST * FEW.difference) / 2**4).all()
    for image, distance, answer in [
        (result.inside, result.l2_inside, result.inside_probabilities),
        (result.outside, result.l2_outside, result.outside_probabilities),
    ]:
        np.testing.assert_allclose(distance, np.sqrt(((image - images) ** 2).sum((1, 2, 3))), atol=1e-6)
        np.testing.assert_allclose(answer, np.asarray(victim(image)), atol=1e-6)
        assert image.min() >= THREE.bounds.lower
        assert image.max() <= THREE.bounds.upper
    np.testing.assert_allclose(result.first_probabilities, np.asarray(victim(images)), atol=1e-6)


def test_queries_are_counted_exactly():
    victim = tanh_net(0, THREE)
    images, labels = _setting(victim, THREE)
    service = Counting(victim)
    result, box = _push(service, images, labels, THREE)
    assert box.queries == service.received == result.queries.sum()
    np.testing.assert_array_equal(result.steps, 6)  # near=0: all rounds
    np.testing.assert_array_equal(result.queries, 1 + 6 * (6 + len(LENGTHS)) + 5)
    near, _ = _push(service, images, labels, THREE, FEW._replace(near=20.0))  # a crossing is enough
    assert near.crossed.all()
    np.testing.assert_array_equal(near.queries, 1 + near.steps * (6 + len(LENGTHS)) + 5)
    assert near.queries.sum() < result.queries.sum()


@pytest.mark.parametrize("most", [18, 29, 30, 41, 300])
def test_no_sample_takes_more_queries_than_it_may(most):
    victim = tanh_net(0, THREE)
    images, labels = _setting(victim, THREE)
    result, _ = _push(victim, images, labels, THREE, FEW._replace(max_queries=most))
    rounds = min(6, (most - 1 - 5) // (6 + len(LENGTHS)))
    assert result.queries.max() == 1 + rounds * (6 + len(LENGTHS)) + 5 * result.crossed.any() <= most
    np.testing.assert_array_equal(result.steps, rounds)
    assert np.isin(result.status, (Status.CROSSED, Status.OUT_OF_STEPS, Status.STALLED)).all()


def test_the_service_s_budget_ends_a_search_and_is_kept():
    victim = tanh_net(0, THREE)
    images, labels = _setting(victim, THREE)
    for budget in (0, 3, 6, 50, 85, 150):
        service = Counting(victim)
        result, box = _push(service, images, labels, THREE, FEW._replace(group=4), budget=budget)
        assert box.queries == service.received == result.queries.sum() <= budget
        assert np.isin(result.status, (Status.CROSSED, Status.RUNNING)).all()
        assert (predicted(victim, result.outside)[result.crossed] != 0).all()
    assert result.crossed.any()


@pytest.mark.parametrize("group", [1, 4, 16])
def test_neighbours_and_groups_do_not_matter(group):
    victim = one_by_one(tanh_net(0, THREE))
    images, labels = _setting(victim, THREE)
    heard = []
    together, _ = _push(
        victim, images, labels, THREE, FEW._replace(group=group), on_finished=lambda *told: heard.append(told)
    )
    np.testing.assert_array_equal(np.concatenate([rows for rows, _ in heard]), np.arange(6))
    np.testing.assert_array_equal(np.concatenate([part.outside for _, part in heard]), together.outside)
    backwards, _ = _push(victim, images[::-1], labels, THREE)
    for row in (0, 5):
        alone, _ = _push(victim, images[row : row + 1], labels[:1], THREE)
        np.testing.assert_allclose(alone.outside[0], together.outside[row], atol=1e-5)
        np.testing.assert_allclose(backwards.outside[5 - row], together.outside[row], atol=1e-5)
        assert alone.queries[0] == together.queries[row]


def test_a_targeted_push_ends_at_its_target():
    victim = linear_softmax(2, THREE)
    images, labels = _setting(victim, THREE)
    for target in (1, 2):
        result, _ = _push(victim, images, labels, THREE, targets=np.full(6, target))
        assert result.crossed.all()
        outside = np.asarray(victim(result.outside))  # in another batch than it was found in: up to rounding
        assert (outside[:, target] > outside.max(-1) - 1e-5).all()
        assert (predicted(victim, result.inside) == 0).all()
    with pytest.raises(ValueError, match="a target equals its sample's label"):
        _push(victim, images, labels, THREE, targets=labels)


def test_colour_images_and_more_directions_than_an_image_has():
    spec = small_spec(COLOURED)
    victim = tanh_net(3, spec)
    images, labels = _setting(victim, spec)
    result, _ = _push(victim, images, labels, spec, FEW._replace(directions=1000, rounds=2))
    assert result.crossed.all()
    assert (result.queries <= 1 + 2 * (48 + len(LENGTHS)) + 5).all()
    assert (predicted(victim, result.outside) != labels).all()


def test_who_is_not_predicted_as_its_label_costs_one_query():
    victim = tanh_net(0, THREE)
    images, labels = _setting(victim, THREE)
    labels[2] = 1
    result, _ = _push(victim, images, labels, THREE)
    assert result.status[2] == Status.SKIPPED
    assert (result.queries[2], result.steps[2]) == (1, 0)
    assert np.delete(result.crossed, 2).all()


def test_a_service_that_rounds_is_seen_through_or_not_at_all():
    victim = tanh_net(0, THREE)
    images, labels = _setting(victim, THREE)

    def rounds(images):
        return np.asarray(victim(np.round(images * 2) / 2))

    labels = rounds(images).argmax(-1)
    short = FEW._replace(difference=0.01)
    blind, _ = _push(rounds, images, labels, THREE, short._replace(longest=0.02))
    assert (blind.status == Status.SAW_NOTHING).all()
    np.testing.assert_array_equal(blind.queries, 1 + 6)
    np.testing.assert_array_equal(blind.outside, images)
    poor, _ = _push(rounds, images, labels, THREE, short._replace(max_queries=1 + 2 * 6 + len(LENGTHS) + 5))
    assert (poor.status == Status.SAW_NOTHING).all()  # probes would be longer, had they queries left
    np.testing.assert_array_equal(poor.queries, 1 + 2 * 6)
    seen, _ = _push(rounds, images, labels, THREE, short)
    assert seen.crossed.sum() >= 5
    assert (seen.queries > 1 + seen.steps * (6 + len(LENGTHS))).all()  # those that told nothing count
    deaf, _ = _push(victim, images, predicted(victim, images), THREE, FEW._replace(resolution=1.0))
    assert (deaf.status == Status.SAW_NOTHING).all()
    constant, _ = _push(flat(THREE), images, np.zeros(6, np.int32), THREE)
    assert (constant.status == Status.SAW_NOTHING).all()


def test_samples_that_cannot_cross_are_stalled_or_out_of_rounds():
    images, labels = random_images(0, 2, TWO) * 0.2, np.zeros(2, np.int32)

    def never(images, least=0.8):
        mean = images.mean((1, 2, 3))  # the nearer to it, the less of class 0; 0.8 at least
        other = (1 - least) * np.exp(-(mean**2))
        return np.stack([1 - other, other], -1).astype(np.float32)

    result, _ = _push(never, images, labels, TWO, FEW._replace(rounds=4))
    assert (result.status == Status.STALLED).all()
    slope = linear_softmax(0, TWO, scale=1e-3)
    images = random_images(1, 50, TWO) * 0.2
    labels = predicted(slope, images)
    short = FEW._replace(rounds=1, max_l2=1e-3, difference=0.001)
    result, _ = _push(slope, images, labels, TWO, short)
    assert (result.status == Status.OUT_OF_STEPS).any()
    assert not (result.l2_outside[result.crossed] > 1e-3).any()


def test_a_crossing_too_far_away_is_said_to_be():
    victim = tanh_net(0, THREE)
    images, labels = _setting(victim, THREE)
    free, _ = _push(victim, images, labels, THREE)
    limit = float(np.median(free.l2_outside))
    result, _ = _push(victim, images, labels, THREE, FEW._replace(max_l2=limit))
    assert (result.l2_outside[result.crossed] <= limit).all()
    assert np.isin(result.status, (Status.CROSSED, Status.TOO_FAR, Status.OUT_OF_STEPS, Status.STALLED)).all()


def test_on_the_lattice_all_that_is_sent_is_an_exact_8_bit_image():
    victim = tanh_net(0, THREE)
    images, labels = _setting(victim, THREE)
    images = from_8_bits(to_8_bits(images, THREE.bounds), THREE.bounds)
    service = Counting(victim)
    result, _ = _push(service, images, labels, THREE, FEW._replace(levels=255))
    sent = np.concatenate(service.batches)
    np.testing.assert_array_equal(from_8_bits(to_8_bits(sent, THREE.bounds), THREE.bounds), sent)
    assert result.crossed.all()
    assert (predicted(victim, result.outside) != labels).all()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *[(name, value) for name in ("directions", "rounds", "group", "max_queries") for value in (0, 1.5)],
        *[(name, value) for name in ("halvings", "levels") for value in (-1, 1.5)],
        *[("difference", value) for value in (0.0, -1.0, np.nan, np.inf)],
        *[(name, value) for name in ("near", "max_l2", "resolution") for value in (-1.0, np.nan)],
        ("max_queries", 17),
    ],
)
def test_settings_that_make_no_search_are_refused_before_anything_is_sent(setting, value):
    victim = Counting(tanh_net(0, THREE))
    with pytest.raises(ValueError, match=f"{setting} is {value}"):
        _push(victim, random_images(0, 2, THREE), np.zeros(2, np.int32), THREE, FEW._replace(**{setting: value}))
    assert victim.received == 0


def test_groups_of_any_size_share_one_program():
    victim = tanh_net(0, THREE)
    images, labels = _setting(victim, THREE)
    settings = FEW._replace(group=3)
    _push(victim, images[:3], labels[:3], THREE, settings)
    known = [step._cache_size() for step in (_probes, _steps, _margins)]
    _push(victim, images, labels, THREE, settings)
    _push(victim, images[:2], labels[:2], THREE, settings)
    assert [step._cache_size() for step in (_probes, _steps, _margins)] == known
