"""Pushing end to end: both images of each trajectory, what became of each sample, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from overunlearn_jax.attacks import Status, ZooSettings, push, run_fused, start, zoo
from overunlearn_jax.black_box import BadAnswerError, BlackBox
from overunlearn_jax.types import Bounds, DatasetSpec
from tests.reference.small_victims import (
    Counting,
    flat,
    linear_softmax,
    predicted,
    random_images,
    small_spec,
    tanh_net,
)

SPEC = small_spec()
VICTIM = tanh_net(0, SPEC)
SETTINGS = ZooSettings(SPEC.bounds, coordinates=3, step_size=0.1, difference=1e-2, max_steps=200, stall_steps=100)
PER_STEP = 7
KEY = jax.random.key(0)
IMAGES = random_images(3, 6, SPEC)
LABELS = predicted(VICTIM, IMAGES)


def _distance(one, other):
    return np.sqrt(((one.astype(np.float64) - other) ** 2).sum((1, 2, 3)))


def _push(images=IMAGES, labels=LABELS, predict=VICTIM, spec=SPEC, budget=None, slots=1, targets=None, **settings):
    given = {"slots": slots, "targets": targets}
    given["block_sizes"] = settings.pop("block_sizes", (1,))
    service = BlackBox(spec, predict, budget=budget)
    settings["bounds"] = settings.pop("bounds_", spec.bounds)
    return push(service, images, labels, SETTINGS._replace(**settings), KEY, **given), service


@pytest.mark.parametrize("space", ["tanh", "box"])
def test_untargeted_push_finds_both_sides_of_the_boundary(space):
    result, service = _push(space=space)
    assert result.crossed.all()
    np.testing.assert_array_equal(predicted(VICTIM, result.inside), LABELS)
    assert (predicted(VICTIM, result.outside) != LABELS).all()
    # neighbours on one trajectory: a step moves three coordinates by 0.1 to 0.3 each in the box, by half that in tanh
    assert (_distance(result.inside, result.outside) < 0.6).all()
    assert (_distance(result.inside, result.outside) > 0).all()
    np.testing.assert_allclose(result.l2_inside, _distance(result.inside, IMAGES), atol=1e-6)
    np.testing.assert_allclose(result.l2_outside, _distance(result.outside, IMAGES), atol=1e-6)
    for images, probabilities in [
        (IMAGES, result.first_probabilities),
        (result.inside, result.inside_probabilities),
        (result.outside, result.outside_probabilities),
    ]:
        np.testing.assert_allclose(probabilities, VICTIM(images), atol=1e-5)
    np.testing.assert_array_equal(result.queries, result.steps * PER_STEP)
    assert service.queries == result.queries.sum()
    assert (result.steps > 1).all()


def test_targeted_push_ends_at_the_target():
    targets = (LABELS + 1) % SPEC.num_classes
    result, _ = _push(targets=targets, targeted=True, max_steps=400)
    assert result.crossed.sum() >= 3
    np.testing.assert_array_equal(predicted(VICTIM, result.outside)[result.crossed], targets[result.crossed])
    np.testing.assert_array_equal(predicted(VICTIM, result.inside)[result.crossed], LABELS[result.crossed])


def test_a_sample_that_the_victim_gets_wrong_is_skipped_after_one_step():
    labels = LABELS.copy()
    labels[2] = (labels[2] + 1) % SPEC.num_classes
    result, _ = _push(labels=labels)
    assert result.status[2] == Status.SKIPPED
    assert not result.crossed[2]
    assert (result.steps[2], result.queries[2]) == (1, PER_STEP)
    np.testing.assert_array_equal(result.inside[2], IMAGES[2])
    assert np.delete(result.crossed, 2).all()


def test_a_target_that_is_predicted_already_is_skipped_as_well():
    labels = (LABELS + 1) % SPEC.num_classes
    result, _ = _push(labels=labels, targets=LABELS, targeted=True)
    np.testing.assert_array_equal(result.status, Status.SKIPPED)


def test_a_flat_victim_is_never_crossed():
    result, _ = _push(labels=np.zeros(6, int), predict=flat(SPEC), space="box")
    assert (result.status == Status.SAW_NOTHING).all()
    assert not result.outside_probabilities.any()
    np.testing.assert_array_equal(result.outside, IMAGES)


def test_a_victim_sure_beyond_float32_shows_nothing():
    certain = linear_softmax(0, SPEC, scale=1e4)  # 1.0 and 0.0 exactly, wherever it is probed
    labels = predicted(certain, IMAGES)
    result, _ = _push(labels=labels, predict=certain, step_size=1e-4)
    assert (result.status == Status.SAW_NOTHING).any()
    assert set(result.steps[result.status == Status.SAW_NOTHING]) == {10}
    result, _ = _push(labels=labels, predict=certain, step_size=1e-4, blind_steps=1000)
    assert (result.status == Status.STALLED).any()
    assert set(result.steps[result.status == Status.STALLED]) == {101}  # the first look back, after 100 steps


def test_a_push_that_ends_beyond_max_l2_is_too_far():
    free, _ = _push()
    result, _ = _push(max_l2=1e-6)
    np.testing.assert_array_equal(result.status, Status.TOO_FAR)
    assert not result.crossed.any()
    np.testing.assert_array_equal(result.outside, free.outside)
    result, _ = _push(max_l2=float(np.median(free.l2_outside)))
    np.testing.assert_array_equal(result.crossed, free.l2_outside < np.median(free.l2_outside))


def test_a_spent_budget_leaves_the_rest_running():
    victim = Counting(VICTIM)
    result, service = _push(predict=victim, budget=200)
    assert service.queries == victim.received == result.queries.sum() <= 200
    assert (result.status == Status.RUNNING).any()
    assert not result.crossed[result.status == Status.RUNNING].any()


COARSE = {"labels": np.where(np.arange(6) == 2, (LABELS + 1) % 3, LABELS), "step_size": 0.01, "max_steps": 12}


def test_coarse_to_fine_goes_on_with_what_is_unfinished():
    coarse, _ = _push(**COARSE, block_sizes=(2,))
    both, _ = _push(**COARSE, block_sizes=(2, 1))
    unfinished = (coarse.status == Status.STALLED) | (coarse.status == Status.OUT_OF_STEPS)
    assert set(coarse.status) == {Status.SKIPPED, Status.CROSSED, Status.OUT_OF_STEPS}
    np.testing.assert_array_equal(coarse.steps[unfinished], 12)
    for name, one, other in zip(coarse._fields, coarse, both, strict=True):
        np.testing.assert_array_equal(one[~unfinished], other[~unfinished], err_msg=name)
    assert (both.steps[unfinished] > 12).all()
    np.testing.assert_array_equal(both.queries, both.steps * PER_STEP)


@pytest.mark.parametrize("budget", [0, 50, 200])
def test_a_budget_that_ends_between_two_block_sizes_leaves_samples_running(budget):
    result, service = _push(**COARSE, block_sizes=(2, 1), budget=budget)
    whole, free = _push(**COARSE, block_sizes=(2, 1))
    assert service.queries == result.queries.sum() <= budget < free.queries
    left = result.status != whole.status
    assert left.any()
    assert (result.status[left] == Status.RUNNING).all()
    assert (result.queries[left] < whole.queries[left]).all()


def test_each_block_size_has_its_own_max_steps():
    result, _ = _push(**COARSE, block_sizes=(2, 1))
    out_of_steps = result.status == Status.OUT_OF_STEPS
    assert out_of_steps.any()
    np.testing.assert_array_equal(result.steps[out_of_steps], 24)


@pytest.mark.parametrize(("space", "bounds"), [("tanh", Bounds(-0.5, 0.5)), ("box", Bounds(0.0, 1.0))])
def test_every_image_that_is_sent_or_submitted_is_inside_the_bounds(space, bounds):
    spec = small_spec(bounds=bounds)
    images = random_images(3, 3, spec)
    images[:, :2], images[:, 2:4] = bounds  # pixels exactly on the bounds
    victim = Counting(VICTIM)
    result, _ = _push(images, predicted(VICTIM, images), victim, spec, space=space, max_steps=20, step_size=0.3)
    assert (result.steps > 1).all()
    for sent in [*victim.batches, result.inside, result.outside]:
        assert sent.min() >= bounds.lower
        assert sent.max() <= bounds.upper
    if space == "box":
        assert (result.outside != images)[:, :4].any()  # a pixel on a bound can leave it


def _one_pixel(slope, threshold, images):
    """Class 0 on one side of the threshold, class 1 on the other."""
    logits = slope * (images.reshape(len(images), 1) - threshold)
    return jax.nn.softmax(jnp.concatenate([logits, -logits], axis=1))


def test_a_pixel_that_ran_into_a_bound_of_the_box_can_turn_back():
    spec = small_spec((1, 1, 1), 2)
    settings = ZooSettings(spec.bounds, coordinates=1, space="box", step_size=0.05, difference=1e-2, max_steps=40)
    engine = zoo(settings)
    zeros = np.zeros((1, 1, 1, 1), np.float32)
    fresh, again = (start(engine, KEY, [0], zeros, [0], [0], 2) for _ in range(2))  # a run uses its state up
    # class 1 begins outside the box, at 0.6: the search runs into the bound at 0.5 and stays there
    up = jax.tree_util.Partial(_one_pixel, -4.0, 0.6)
    state = run_fused(engine, BlackBox(spec, up), fresh, 1)
    assert state.status[0] == Status.OUT_OF_STEPS
    assert state.inside.item() == 0.5
    # now it begins at -0.2: what counts is where the search stands, not how far beyond the bound it had run
    down = jax.tree_util.Partial(_one_pixel, 4.0, -0.2)
    state = again._replace(variable=state.variable)
    assert run_fused(engine, BlackBox(spec, down), state, 1).status[0] == Status.CROSSED


def test_ids_decide_what_a_sample_draws():
    service = BlackBox(SPEC, VICTIM)
    ids = np.arange(6) * 10
    first = push(service, IMAGES, LABELS, SETTINGS, KEY, ids=ids)
    turned = push(service, IMAGES[::-1], LABELS[::-1], SETTINGS, KEY, ids=ids[::-1])
    np.testing.assert_allclose(turned.inside[::-1], first.inside, atol=1e-5)
    others = push(service, IMAGES, LABELS, SETTINGS, KEY, ids=ids + 1)
    assert all(not np.allclose(one, other) for one, other in zip(first.outside, others.outside, strict=True))


NOT_FINITE = (-1.0, np.inf, np.nan)
NO_LENGTH = (0.0, *NOT_FINITE)
_NAN = IMAGES.copy()
_NAN[1, 2, 3] = np.nan


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"images": _NAN}, "NaN"),
        ({"images": IMAGES * 3}, r"expects \[-0.5, 0.5\]"),
        ({"images": IMAGES[..., 0]}, r"shape \(6, 6, 6\)"),
        ({"images": IMAGES[:0]}, r"shape \(0, 6, 6, 1\)"),
        ({"images": np.zeros((6, 6, 6, 1), np.int32)}, "dtype int32"),
        ({"labels": LABELS[:5]}, r"labels are int32 of shape \(5,\); expected 6 integers"),
        ({"labels": LABELS.astype(np.float32)}, "labels are float32"),
        ({"labels": np.full(6, 3)}, r"labels lie in 3 \.\.\. 3; expected 0 \.\.\. 2"),
        ({"labels": np.full(6, -1)}, r"labels lie in -1"),
        ({"targeted": True}, "targets are not given"),
        ({"targets": (LABELS + 1) % 3}, "targeted is False, and targets are given"),
        ({"targeted": True, "targets": LABELS}, "target equals"),
        ({"targeted": True, "targets": LABELS + 3}, "targets lie in"),
        ({"targeted": True, "targets": LABELS[:2]}, r"targets are int32 of shape \(2,\)"),
        ({"block_sizes": ()}, "block_sizes is empty"),
        ({"block_sizes": (4,)}, "blocks of 4 pixels do not tile images of 6x6"),
        ({"block_sizes": (0,)}, "blocks of 0"),
        ({"solver": "sgd"}, "solver is 'sgd'; expected one of adam, newton, sega"),
        ({"space": "sphere"}, "space is 'sphere'; expected one of tanh, box"),
        ({"solver": "newton", "difference": 1e-4}, "difference is 0.0001"),
        *[({"step_size": value}, f"step_size is {value}; expected a finite number above 0") for value in NO_LENGTH],
        *[({"difference": value}, f"difference is {value}; expected a finite number above 0") for value in NO_LENGTH],
        *[({"margin_weight": value}, f"margin_weight is {value}; expected a finite") for value in NOT_FINITE],
        *[({"kappa": value}, f"kappa is {value}; expected a finite number, 0 or more") for value in NOT_FINITE],
        *[({"max_l2": value}, f"max_l2 is {value}; expected a number, 0 or more") for value in (-1.0, np.nan)],
        *[({"stall_ratio": value}, f"stall_ratio is {value}; expected a number") for value in (-1.0, np.nan)],
        *[
            ({name: value}, f"{name} is {value}; expected a whole number, at least 1")
            for name in ("coordinates", "max_steps", "stall_steps")
            for value in (0, -1, 1.5, 2.0, np.nan, True, 2**31)
        ],
        ({"bounds_": Bounds(0.5, -0.5)}, r"bounds are Bounds\(lower=0.5, upper=-0.5\); expected two finite numbers"),
        ({"bounds_": Bounds(-0.5, np.inf)}, "bounds are .*; expected two finite numbers"),
        ({"labels": np.eye(3, dtype=int)[LABELS]}, r"labels\.argmax\(1\)"),
        ({"labels": np.array(["a", "b", "c"])[LABELS]}, r"np\.unique\(labels, return_inverse=True\)"),
        ({"labels": np.array([1, 2, 3, 1, 2, 3])}, "begin at 1, so subtract 1"),
        ({"solver": "newton", "difference": 1e-2, "one_sided": True}, "needs second differences"),
    ],
)
def test_input_that_does_not_fit_is_refused_before_anything_is_sent(given, message):
    victim = Counting(VICTIM)
    with pytest.raises(ValueError, match=message):
        _push(predict=victim, **given)
    assert victim.received == 0


def test_settings_at_their_limits_make_a_search():
    assert (
        zoo(SETTINGS._replace(max_l2=np.inf, kappa=0, margin_weight=0.0, max_steps=1, coordinates=1)).settings.kappa
        == 0
    )


@pytest.mark.parametrize("fused", [True, False])
def test_a_victim_that_answers_logits_is_refused(fused):
    def logits(images):
        return images.reshape(len(images), -1)[:, :3] * 4.0 + 1.0

    with pytest.raises(BadAnswerError, match="softmax"):
        _push(predict=jax.tree_util.Partial(logits) if fused else logits)


def test_a_scikit_learn_classifier_is_pushed():
    digits = load_digits()
    images = (digits.images / 16 - 0.5).astype(np.float32)[..., None]
    spec = DatasetSpec("digits", (8, 8, 1), Bounds(-0.5, 0.5), tuple("0123456789"))
    classifier = LogisticRegression(C=0.02, max_iter=500).fit(images[:500].reshape(500, -1), digits.target[:500])

    def predict(images):
        return classifier.predict_proba(images.reshape(len(images), -1))

    service = BlackBox(spec, predict, batch_size=20)
    images, labels = images[501:505], digits.target[501:505]
    settings = ZooSettings(spec.bounds, coordinates=16, step_size=0.2, difference=1e-2, max_steps=100)
    result = push(service, images, labels, settings, KEY, slots=4)
    right = predict(images).argmax(1) == labels
    assert right.sum() >= 3
    np.testing.assert_array_equal(result.status, np.where(right, Status.CROSSED, Status.SKIPPED))
    np.testing.assert_array_equal(predict(result.inside).argmax(1)[right], labels[right])
    assert (predict(result.outside).argmax(1) != labels).all()
    assert service.queries == result.queries.sum() == result.steps.sum() * 33


@pytest.mark.parametrize("fused", [True, False])
def test_the_default_number_of_coordinates_is_all_of_a_small_image(fused):
    settings = ZooSettings(SPEC.bounds, step_size=0.1, difference=1e-2, max_steps=60)
    assert settings.coordinates == 128
    service = BlackBox(SPEC, VICTIM if fused else Counting(VICTIM))
    result = push(service, IMAGES, LABELS, settings, KEY)
    assert result.crossed.all()
    np.testing.assert_array_equal(result.queries, result.steps * (1 + 2 * 36))
    assert service.queries == result.queries.sum()
    exact = push(BlackBox(SPEC, VICTIM), IMAGES, LABELS, settings._replace(coordinates=36), KEY)
    np.testing.assert_array_equal(result.status, exact.status)
    np.testing.assert_allclose(result.outside, exact.outside, atol=1e-4)


def test_every_block_size_probes_as_many_coordinates_as_it_has():
    assert [SETTINGS._replace(block=block, coordinates=128).fitted((6, 6, 3)).coordinates for block in (1, 2, 3)] == [
        108,
        27,
        12,
    ]
    assert SETTINGS.fitted((6, 6, 3)) == SETTINGS
    result, service = _push(coordinates=128, block_sizes=(3, 2), max_steps=2, step_size=1e-3)
    np.testing.assert_array_equal(result.queries, 2 * (1 + 2 * 4) + 2 * (1 + 2 * 9))
    assert service.queries == result.queries.sum()
